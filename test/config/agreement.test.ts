import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseClients, parseConfig } from '../../sidecar/config/config.ts'
import { refusalOf, withSettings, withUpstream } from './refusal.ts'

const clients = [{ name: 'app', sha256: 'A'.repeat(64) }]

test('a port that others reach is refused without clients: it would be an open relay for the key', async () => {
  for (const host of ['0.0.0.0', '::', '10.0.0.5', 'localhost.example', '127.example', '128.0.0.1']) {
    assert.deepEqual(await refusalOf(withSettings({ listen: { host } })), [
      'listen.host: is not the loopback, and there are neither clients nor clientsFile: a port that adds a key, without authentication, is an open relay for the key',
    ])
  }
})

test('the loopback needs no clients', async () => {
  for (const host of ['localhost', '127.0.0.1', '127.8.9.1', '::1']) await parseConfig(withSettings({ listen: { host } }), 'x')
})

test('a port that others reach is taken with clients, or with a file of them', async () => {
  await parseConfig(withSettings({ listen: { host: '0.0.0.0' }, clients }), 'x')
  await parseConfig(withSettings({ listen: { host: '0.0.0.0' }, clientsFile: '/etc/clients.yaml' }), 'x')
})

test('the open relay is found even if other parts of the config are wrong', async () => {
  const lines = await refusalOf('{"listen":{"host":"::","prot":1}}')
  assert(lines.some((line) => line.startsWith('listen.host: is not the loopback')))
  assert(lines.some((line) => line.startsWith('listen.prot: unknown key')))
})

test('a credential that is not declared is named beside those that are', async () => {
  const text = withUpstream({ credential: 'holyshep' }, { credentials: { holysheep: { env: 'A' }, other: { env: 'B' } } })
  assert.deepEqual(await refusalOf(text), [
    'upstreams[0].credential: must be a name declared in credentials, not "holyshep"; did you mean "holysheep"? declared: holysheep, other',
  ])
  assert.deepEqual(await refusalOf(withUpstream({ credential: 'a' })), [
    'upstreams[0].credential: must be a name declared in credentials, not "a"; nothing is declared there',
  ])
})

test('a client certificate needs its key, and the key its certificate', async () => {
  assert.deepEqual(await refusalOf(withUpstream({ tls: { cert: 'a.pem' } })), ['upstreams[0].tls.cert: needs key beside it'])
  assert.deepEqual(await refusalOf(withUpstream({ tls: { key: 'a.pem' } })), ['upstreams[0].tls.key: needs cert beside it'])
  await parseConfig(withUpstream({ tls: { cert: 'a.pem', key: 'b.pem' } }), 'x')
})

test('several upstreams have names of their own', async () => {
  const upstream = { name: 'a', url: 'https://a.example' }
  assert.deepEqual(await refusalOf(withSettings({ upstreams: [upstream, upstream] })), [
    'upstreams[1].name: is the name of another upstream too',
  ])
  await parseConfig(withSettings({ upstreams: [upstream, { ...upstream, name: 'b' }] }), 'x')
})

test('routes and overrides speak of upstreams that there are', async () => {
  const routes = [{ name: 'r', models: ['*'], upstreams: ['nobody'] }]
  const [problem, ...rest] = await refusalOf(withSettings({ routes }))
  assert.match(problem ?? '', /^routes\[0\]\.upstreams\[0\]: must be the name of an upstream/)
  assert.deepEqual(rest, [])
  const [override] = await refusalOf(withSettings({ routing: { overrides: { upstreams: ['nobody'] } } }))
  assert.match(override ?? '', /^routing\.overrides\.upstreams\[0\]: must be the name of an upstream/)
})

test('an upstream has one credential or several, each of them declared', async () => {
  const both = await refusalOf(withUpstream({ credential: 'k', credentials: ['k'] }, { credentials: { k: { env: 'K' } } }))
  assert.deepEqual(both, ['upstreams[0].credentials: stands beside credential: keep one of them'])
  const [missing] = await refusalOf(withUpstream({ credentials: ['l'] }))
  assert.match(missing ?? '', /^upstreams\[0\]\.credentials\[0\]: must be a name declared in credentials/)
})

test('a check of any kind is taken without a warning', async () => {
  for (const check of [{}, { by: 'auto' }, { by: 'off' }, { by: 'models' }, { by: 'connect' }, { by: 'path', path: '/up' }]) {
    assert.deepEqual((await parseConfig(withUpstream({ check }), 'x')).warnings, [])
  }
})

test('a check by path needs its path, and no other uses one', async () => {
  assert.deepEqual(await refusalOf(withUpstream({ check: { by: 'path' } })), ['upstreams[0].check.by: is path: needs path beside it'])
  assert.deepEqual(await refusalOf(withUpstream({ check: { path: '/up' } })), ['upstreams[0].check.path: is used only where by is path'])
})

test('the two listeners cannot share a port, except any free one', async () => {
  assert.deepEqual(await refusalOf(withSettings({ listen: { port: 9090 } })), [
    'admin.port: is 9090, the port of listen too: choose another for one of them',
  ])
  await parseConfig(withSettings({ listen: { port: 0 }, admin: { port: 0 } }), 'x')
  await parseConfig(withSettings({ listen: { port: 9090 }, admin: { host: '10.0.0.5' } }), 'x')
})

test('a sidecar that would call itself is refused', async () => {
  for (const url of ['http://localhost:8080/v1', 'http://127.0.0.1:8080', 'http://[::1]:8080/v1']) {
    assert.deepEqual(await refusalOf(withUpstream({ url })), [
      'upstreams[0].url: is where Outrider itself listens: calls would go round in a circle',
    ])
  }
  await parseConfig(withUpstream({ url: 'http://localhost:8081/v1' }), 'x')
  await parseConfig(withUpstream({ url: 'http://localhost:8080/v1' }, { listen: { port: 8081 } }), 'x')
  await parseConfig(withUpstream({ url: 'http://api.example:8080/v1' }), 'x')
})

test('a key written into the config is taken with a warning, which does not show it', async () => {
  const { config, warnings } = await parseConfig(withUpstream({ credential: 'k' }, { credentials: { k: { value: 'sesame' } } }), 'x')
  assert.deepEqual(config.credentials, { k: { value: 'sesame' } })
  assert.deepEqual(warnings, ['x credentials.k.value: is for trials: whoever reads the config has the key; use file or env'])
})

test('a key that would travel unencrypted, and one that nobody uses, are warned of', async () => {
  const credentials = { k: { env: 'A' }, spare: { env: 'B' } }
  const { warnings } = await parseConfig(withUpstream({ url: 'http://a.example', credential: 'k' }, { credentials }), 'x')
  assert.deepEqual(warnings, ['x upstreams[0].url: is http: the key travels unencrypted', 'x credentials.spare: is used by no upstream'])
  const local = await parseConfig(withUpstream({ url: 'http://[::1]:8000', credential: 'k' }, { credentials: { k: { env: 'A' } } }), 'x')
  assert.deepEqual(local.warnings, [])
})

test('a file of clients is the list that stands under clients', async () => {
  assert.deepEqual(await parseClients(`- name: app\n  sha256: ${'A'.repeat(64)}\n`, 'clients.yaml'), [
    { name: 'app', sha256: 'a'.repeat(64) },
  ])
  assert.deepEqual(await parseClients(JSON.stringify(clients), 'clients.json'), [{ name: 'app', sha256: 'a'.repeat(64) }])
})

test('a file of clients is refused with the same words', async () => {
  assert.deepEqual(await refusalOf('- name: a', parseClients), [':1:3 [0].sha256: is missing'])
  assert.deepEqual(await refusalOf('app: 1', parseClients), [':1:1: must be a list of clients, not a mapping'])
  assert.deepEqual(await refusalOf(JSON.stringify([...clients, ...clients]), parseClients), ['[1].name: is the name of another client too'])
})

test('control needs a port of its own, unless it is off or takes any free one', async () => {
  assert.deepEqual(await refusalOf(withSettings({ listen: { port: 9091 } })), [
    'control.port: is 9091, the port of listen too: choose another for one of them',
  ])
  assert.deepEqual(await refusalOf(withSettings({ admin: { port: 7 }, control: { port: 7 } })), [
    'control.port: is 7, the port of admin too: choose another for one of them',
  ])
  await parseConfig(withSettings({ listen: { port: 9091 }, control: { off: true } }), 'x')
  await parseConfig(withSettings({ listen: { port: 9091 }, control: { port: 0 } }), 'x')
})

test('cors with credentials names its origins, and an origin has no path', async () => {
  assert.deepEqual(await refusalOf(withSettings({ cors: { origins: ['*'], credentials: true } })), [
    'cors.credentials: cannot go with the origin *: browsers refuse that',
  ])
  for (const origin of [
    'https://app.example/',
    'app.example',
    'https://app.example/x',
    'ftp://app.example',
    'null',
    'https://App.example',
  ]) {
    const [line] = await refusalOf(withSettings({ cors: { origins: [origin] } }))
    assert.match(line ?? '', /^cors\.origins\[0\]: must be an origin such as https:\/\/app\.example\.com/, origin)
  }
  await parseConfig(withSettings({ cors: { origins: ['https://app.example', 'http://localhost:3000', '*'] } }), 'x')
})

test('a canary needs something on trial and leaves something stable', async () => {
  const withCanary = (canary: object, route: object = {}): string =>
    JSON.stringify({
      upstreams: [
        { name: 'old', url: 'https://old.example/v1' },
        { name: 'new', url: 'https://new.example/v1' },
      ],
      routes: [{ name: 'chat', models: ['*'], ...route, canary }],
    })
  const cases: [text: string, lines: string[]][] = [
    [withCanary({}), ['routes[0].canary: needs upstreams or model: what is on trial']],
    [
      withCanary({ upstreams: ['old', 'new'] }),
      ['routes[0].canary.upstreams: are all upstreams of the route: nothing is left for the stable side'],
    ],
    [
      withCanary({ upstreams: ['nwe'] }),
      ['routes[0].canary.upstreams[0]: must be the name of an upstream, not "nwe"; did you mean "new"? declared: old, new'],
    ],
    [
      withCanary({ model: 'm', weight: 101 }),
      ['routes[0].canary.weight: must be a percentage: a number from 0 to 100, such as 10 or 0.5, without quotes, not 101'],
    ],
    [
      withCanary({ model: 'm', header: 'Authorization' }),
      ['routes[0].canary.header: is a header with another purpose: choose one of your own'],
    ],
  ]
  for (const [text, lines] of cases) assert.deepEqual(await refusalOf(text), lines)
  await parseConfig(withCanary({ upstreams: ['new'] }, { upstreams: ['old'] }), 'x')
  await parseConfig(
    withCanary({ upstreams: ['old', 'new'], model: 'm' }, { upstreams: ['old', 'new'] }).replace('"old","new"],"model"', '"new"],"model"'),
    'x',
  )
})

test('a file for weights that nothing can change is taken with a warning', async () => {
  const { warnings } = await parseConfig(withSettings({ control: { stateFile: '/state/weights.json' } }), 'x')
  assert.match(warnings.join(), /control\.stateFile: .*keeps rollbacks only: without control\.tokenFile/)
})

test('a fallback that no attempt is left for is warned of, in the routing and in a route', async () => {
  const fallbacks = [{ model: 'spare' }]
  const warned = 'x retry.attempts: leaves none for a fallback: a call that fails is not asked of another model'
  const routes = [{ name: 'r', models: ['m'], fallbacks }]
  for (const settings of [{ routing: { fallbacks } }, { routes }]) {
    assert.deepEqual((await parseConfig(withSettings({ ...settings, retry: { attempts: 1 } }), 'x')).warnings, [warned])
    assert.deepEqual((await parseConfig(withSettings(settings), 'x')).warnings, [])
  }
})

test('numbers that nothing uses are warned of', async () => {
  const warningsOf = async (settings: Readonly<Record<string, unknown>>): Promise<string[]> => [
    ...(await parseConfig(withSettings(settings), 'x')).warnings,
  ]
  const adaptive = { longest: '1m' }
  assert.deepEqual(await warningsOf({ timeouts: { firstEvent: '5s', adaptive } }), [
    'x timeouts.adaptive: is used only where timeouts.firstEvent is adaptive',
  ])
  assert.deepEqual(await warningsOf({ timeouts: { adaptive } }), [])
  const peakEwma = { penalty: '1s' }
  const routes = [{ name: 'r', models: ['*'], strategy: 'peak_ewma' }]
  assert.deepEqual(await warningsOf({ routing: { strategy: 'weighted', peakEwma } }), [
    'x routing.peakEwma: is used only where a strategy is peak_ewma, and none is',
  ])
  assert.deepEqual(await warningsOf({ routing: { strategy: 'weighted', peakEwma }, routes }), [])
  assert.deepEqual(await warningsOf({ routing: { peakEwma } }), [])
})
