import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { ConfigRefused, parseConfig } from '../../sidecar/config/config.ts'
import { refusalOf, withSettings, withUpstream } from './refusal.ts'

test('all that is wrong is said at once, in the order of the text, with line and column', async () => {
  const text = `listen:
  prot: 8080
timeouts:
  first_event: 3s
  total: 10
upstreams:
  - name: sheep
    ulr: https://api.example/v1
`
  const refused: unknown = await parseConfig(text, 'outrider.yaml').catch((error: unknown) => error)
  assert(refused instanceof ConfigRefused)
  assert.equal(
    refused.message,
    `outrider.yaml:2:3 listen.prot: unknown key; did you mean "port"?
outrider.yaml:4:3 timeouts.first_event: unknown key; keys are camelCase: write "firstEvent"
outrider.yaml:5:3 timeouts.total: must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h, not 10
outrider.yaml:7:5 upstreams[0].url: is missing
outrider.yaml:8:5 upstreams[0].ulr: unknown key; did you mean "url"?`,
  )
  assert.deepEqual(refused.problems[0], { path: 'listen.prot', message: 'unknown key; did you mean "port"?', line: 2, column: 3 })
})

test('problems of a JSON text have paths without lines', async () => {
  const refused: unknown = await parseConfig('{"upstreams": []}', 'profile.json').catch((error: unknown) => error)
  assert(refused instanceof ConfigRefused)
  assert.equal(refused.message, 'profile.json upstreams: is empty: name one upstream')
})

test('a JSON file that people write has lines too', async () => {
  const text = '{\n  "upstreams": [\n    { "name": "sheep", "ulr": "https://api.example/v1" }\n  ]\n}\n'
  assert.deepEqual(await refusalOf(text), [':3:5 upstreams[0].url: is missing', ':3:24 upstreams[0].ulr: unknown key; did you mean "url"?'])
})

test('every unknown key of one mapping is named', async () => {
  assert.deepEqual(await refusalOf(withSettings({ drain: { grce: '1s', idle_exit: '1s', 'idle-exit': '1s', IdleExit: '1s' } })), [
    'drain.grce: unknown key; did you mean "grace"?',
    'drain.idle_exit: unknown key; keys are camelCase: write "idleExit"',
    'drain.idle-exit: unknown key; keys are camelCase: write "idleExit"',
    'drain.IdleExit: unknown key; keys are camelCase: write "idleExit"',
  ])
})

test('an unknown key like no other gets the list of those that exist', async () => {
  assert.deepEqual(await refusalOf(withSettings({ log: { format: 'json' } })), [
    'log.format: unknown key; known here: level, sample, bodies',
  ])
})

test('a name that every object inherits is an unknown key like any other', async () => {
  const text = withSettings({ constructor: 1, toString: 2 }).replace('{', '{"__proto__":{"log":{"level":"debug"}},')
  const lines = await refusalOf(text)
  assert.deepEqual(
    lines.map((line) => line.split(':')[0]),
    ['__proto__', 'constructor', 'toString'],
  )
})

test('a credential cannot have a name that would get lost', async () => {
  assert.deepEqual(await refusalOf(withSettings({ credentials: { constructor: { env: 'A' } } })), [
    'credentials.constructor: cannot be used as a name',
  ])
})

const duration = 'must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h'
const size = 'must be a size, one whole number with its unit, such as 512KB, 50MB, 8MiB or 1GiB'

const refusals: readonly (readonly [settings: Readonly<Record<string, unknown>>, line: string])[] = [
  [{ timeouts: { idle: 10 } }, `timeouts.idle: ${duration}, not 10`],
  [{ timeouts: { idle: '10' } }, `timeouts.idle: ${duration}, not "10"`],
  [{ timeouts: { idle: '1h30m' } }, `timeouts.idle: ${duration}, not "1h30m"`],
  [{ timeouts: { idle: '0s' } }, 'timeouts.idle: must be at least 1ms, not "0s"'],
  [{ timeouts: { idle: '577h' } }, 'timeouts.idle: must be at most 576h, not "577h"'],
  [{ timeouts: { firstEvent: 'adaptve' } }, `timeouts.firstEvent: ${duration}, or adaptive, not "adaptve"`],
  [{ timeouts: { firstEvent: '0s' } }, 'timeouts.firstEvent: must be 1ms to 576h, not "0s"'],
  [{ timeouts: { adaptive: { cold: 60 } } }, `timeouts.adaptive.cold: ${duration}, not 60`],
  [
    { timeouts: { adaptive: { times: 0.5 } } },
    'timeouts.adaptive.times: must be a number from 1 to 100, such as 1.25, without quotes, not 0.5',
  ],
  [
    { timeouts: { adaptive: { warmAfter: 201 } } },
    'timeouts.adaptive.warmAfter: must be a whole number from 1 to 200, without quotes, not 201',
  ],
  [
    { timeouts: { adaptive: { longest: '10s' } } },
    'timeouts.adaptive.longest: is shorter than shortest, which is 15s unless it is set too',
  ],
  [{ routing: { peakEwma: { decay: '0s' } } }, 'routing.peakEwma.decay: must be at least 1ms, not "0s"'],
  [
    { routing: { peakEwma: { level: '2' } } },
    'routing.peakEwma.level: must be a number from 1 to 10, such as 1.25, without quotes, not "2"',
  ],
  [{ routing: { peakEwma: { fullScan: 1 } } }, 'routing.peakEwma.fullScan: must be a whole number from 2 to 1000, without quotes, not 1'],
  [
    { routing: { peakEwma: { penalty: '10m' } } },
    'routing.peakEwma.penalty: is longer than longestPenalty, which is 5m unless it is set too',
  ],
  [{ retry: { leastLeft: 2 } }, `retry.leastLeft: ${duration}, not 2`],
  [{ timeouts: null }, 'timeouts: is empty: fill it in or leave it out'],
  [{ timeouts: [] }, 'timeouts: must be a mapping, not a list'],
  [{ timeouts: 'none' }, 'timeouts: must be a mapping, not "none"'],
  [{ limits: { jsonBody: '10M' } }, `limits.jsonBody: ${size}, not "10M"`],
  [{ limits: { header: 16 } }, `limits.header: ${size}, not 16`],
  [{ limits: { header: '1B' } }, 'limits.header: must be at least 1KiB, not "1B"'],
  [{ limits: { uploadBody: '1025GiB' } }, 'limits.uploadBody: must be at most 1024GiB, not "1025GiB"'],
  [{ limits: { memory: '101%' } }, 'limits.memory: must be a share such as 40%, or a size such as 256MiB, not "101%"'],
  [{ limits: { memory: '0B' } }, 'limits.memory: must be 1B to 1024GiB, not "0B"'],
  [{ limits: { inFlight: 1.5 } }, 'limits.inFlight: must be a whole number from 1 to 1000000, without quotes, not 1.5'],
  [{ listen: { port: '80' } }, 'listen.port: must be a whole number from 0 to 65535, without quotes, not "80"'],
  [{ listen: { port: 65_536 } }, 'listen.port: must be a whole number from 0 to 65535, without quotes, not 65536'],
  [{ listen: { host: 'a b' } }, 'listen.host: must be a host name or an IP address, without scheme or port, not "a b"'],
  [{ listen: { tls: { cert: 'a' } } }, 'listen.tls.key: is missing'],
  [{ log: { level: 'verbose' } }, 'log.level: must be one of trace, debug, info, warn, error, fatal, silent, not "verbose"'],
  [
    { network: { httpProxy: 'proxy:3128' } },
    'network.httpProxy: must be a whole URL that starts with https:// or http://, not "proxy:3128"',
  ],
  [{ network: { hostAliases: { 'a.example': ['1.2.3'] } } }, 'network.hostAliases["a.example"][0]: must be an IP address, not "1.2.3"'],
  [
    { network: { noProxy: ['a b'] } },
    'network.noProxy[0]: must be a host, a .suffix, an IP address, a CIDR block, a host:port or *, not "a b"',
  ],
  [{ upstreams: [] }, 'upstreams: is empty: name one upstream'],
  [{ clients: [] }, 'clients: is empty: leave it out'],
  [{ clients: [{ name: 'a', sha256: 'abc' }] }, 'clients[0].sha256: is not the SHA-256 of a client key, which is 64 hex digits'],
  [
    { log: { level: 'inof' } },
    'log.level: must be one of trace, debug, info, warn, error, fatal, silent, not "inof"; did you mean "info"?',
  ],
  [{ models: { m: {} } }, 'models: must be a list of models, not a mapping'],
  [{ models: [{ version: '1.0.0' }] }, 'models[0].name: is missing'],
  [
    { models: [{ name: 'a b' }] },
    'models[0].name: must be the name of a model: printable ASCII without spaces, at most 200 characters, not "a b"',
  ],
  [{ models: [{ name: 'm', version: 1.1 }] }, 'models[0].version: must be a semantic version such as 1.4.0 or 2.0.0-rc.1, not 1.1'],
  [
    { models: [{ name: 'm', version: 'v1.0.0' }] },
    'models[0].version: must be a semantic version such as 1.4.0 or 2.0.0-rc.1, not "v1.0.0"',
  ],
  [{ models: [{ name: 'm', price: { input: 1 } }] }, 'models[0].price.output: is missing'],
  [
    { models: [{ name: 'm', price: { input: -1, output: 1 } }] },
    'models[0].price.input: must be dollars for a million tokens: a number from 0 to 100000, without quotes, not -1',
  ],
  [
    { models: [{ name: 'm', limits: { context: 0 } }] },
    'models[0].limits.context: must be a whole number from 1 to 1000000000, without quotes, not 0',
  ],
  [{ models: [{ name: 'm', limits: { contxt: 1 } }] }, 'models[0].limits.contxt: unknown key; did you mean "context"?'],
  [{ models: [{ name: 'm' }, { name: 'm' }] }, 'models[1].name: is the name of another model too'],
  [{ credentials: { k: {} } }, 'credentials.k: must be exactly one of { file }, { env } and { value }'],
  [{ credentials: { k: { file: 'a', env: 'B' } } }, 'credentials.k: must be exactly one of { file }, { env } and { value }'],
  [{ credentials: { k: 'abc' } }, 'credentials.k: must be exactly one of { file }, { env } and { value }'],
]

for (const [settings, line] of refusals) {
  test(`${JSON.stringify(settings)} is refused`, async () => {
    assert.deepEqual(await refusalOf(withSettings(settings)), [line])
  })
}

const upstreamRefusals: readonly (readonly [changes: Readonly<Record<string, unknown>>, line: string])[] = [
  [{ name: 'Sheep 1' }, 'name: must be a name: letters a-z, digits and -, at most 63, not "Sheep 1"'],
  [{ url: 'ftp://a' }, 'url: must be a whole URL that starts with https:// or http://, not "ftp://a"'],
  [{ url: 'http://:80' }, 'url: must be a whole URL that starts with https:// or http://, not "http://:80"'],
  [{ url: 'https://u:pw@a.example' }, 'url: holds a user or a password: put the key in credentials'],
  [{ url: 'https://a.example/#x' }, 'url: has a #fragment, which no server ever sees: leave it out'],
  [
    { auth: 'bearr' },
    'auth: must be one of bearer, api-key, x-api-key, x-goog-api-key, or { header, prefix }, not "bearr"; did you mean "bearer"?',
  ],
  [{ auth: { haeder: 'x' } }, 'auth.header: is missing'],
  [{ auth: { header: 'x y' } }, 'auth.header: must be the name of a header, not "x y"'],
  [{ auth: { header: 'Host' } }, 'auth.header: is a header with another purpose: a key cannot go there'],
  [{ auth: { header: 'x', prefix: 'a\nb' } }, 'auth.prefix: must be plain ASCII, not "a\\nb"'],
  [{ connections: 0 }, 'connections: must be a whole number from 1 to 1000000, without quotes, not 0'],
  [{ http2: 'yes' }, 'http2: must be true or false, not "yes"'],
  [{ addresses: ['a.example'] }, 'addresses[0]: must be an IP address, not "a.example"'],
  [{ proxy: 'off' }, 'proxy: must be a whole URL that starts with https:// or http://, not "off"'],
]

for (const [changes, line] of upstreamRefusals) {
  test(`an upstream with ${JSON.stringify(changes)} is refused`, async () => {
    const lines = await refusalOf(withUpstream(changes))
    assert.equal(lines[0], `upstreams[0].${line}`)
  })
}

test('a value that breaks one rule in two ways is told once', async () => {
  assert.deepEqual(await refusalOf(withUpstream({ url: 'abc' })), [
    'upstreams[0].url: must be a whole URL that starts with https:// or http://, not "abc"',
  ])
})

test('a number long enough to be a key is not shown', async () => {
  assert.deepEqual(await refusalOf(withSettings({ listen: { port: 12_345_678_901 } })), [
    'listen.port: must be a whole number from 0 to 65535, without quotes, not a number of that size',
  ])
})

test('a document of nothing but mistakes is answered shortly', async () => {
  const wrong = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`wrong${index}`, index]))
  const lines = await refusalOf(withSettings({ drain: wrong }))
  assert.equal(lines.length, 101)
  assert.equal(lines.at(-1), ': and 400 more')
})
