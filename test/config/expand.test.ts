import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigRefused, parseConfig } from '../../sidecar/config/config.ts'
import { refusalOf, withSettings, withUpstream } from './refusal.ts'

type Env = Readonly<Record<string, string>>

const parse = (text: string, env: Env = {}) => parseConfig(text, 'x', env)
const refusal = (text: string, env: Env = {}) => refusalOf(text, (any, source) => parseConfig(any, source, env))

test('a variable stands wherever a text stands, also in the middle of one', async () => {
  const text = withUpstream({ url: 'https://${HOST}:${PORT}/v1', addresses: ['${IP}'] }, { listen: { host: '${WHERE}' } })
  const { config } = await parse(text, { HOST: 'api.example', PORT: '8443', IP: '10.0.0.1', WHERE: '::1' })
  assert.equal(config.upstreams[0]?.url, 'https://api.example:8443/v1')
  assert.deepEqual(config.upstreams[0]?.addresses, ['10.0.0.1'])
  assert.equal(config.listen.host, '::1')
})

test('a default stands in for a variable that is not set, or empty', async () => {
  const text = withUpstream({ url: '${URL:-https://a.example:1/v1}' })
  for (const env of [{}, { URL: '' }]) assert.equal((await parse(text, env)).config.upstreams[0]?.url, 'https://a.example:1/v1')
  assert.equal((await parse(text, { URL: 'http://b.example' })).config.upstreams[0]?.url, 'http://b.example')
})

test('two dollars make one, and no variable', async () => {
  const text = withUpstream({ auth: { header: 'x-key', prefix: '$${A} $ $$ {A} ${B} $${' } })
  const { config } = await parse(text, { A: 'wrong', B: 'b' })
  assert.deepEqual(config.upstreams[0]?.auth, { header: 'x-key', prefix: '${A} $ $$ {A} b ${' })
})

test('what a variable holds is taken as it is: neither expanded again nor read as YAML', async () => {
  const text = 'upstreams: [{ name: a, url: "http://a.example", auth: { header: x-key, prefix: "${P}" } }]'
  const { config } = await parse(text, { P: '${Q}", http2: true # ', Q: 'wrong' })
  assert.deepEqual(config.upstreams[0]?.auth, { header: 'x-key', prefix: '${Q}", http2: true # ' })
})

test('a number or a truth value comes out of a variable where one is wanted, and only there', async () => {
  const text = `
listen: { port: "\${PORT}" }
upstreams:
  - { name: a, url: http://a.example, http2: "\${H2:-true}", connections: "\${MOST}", credential: k }
credentials: { k: { value: "\${KEY}" } }
models: [{ name: "\${MODEL}", price: { input: "\${IN}", output: 1 } }]
`
  const { config } = await parse(text, { PORT: '0', MOST: '12', KEY: '12345', MODEL: 'true', IN: '0.25', H2: 'false' })
  assert.equal(config.listen.port, 0)
  assert.deepEqual([config.upstreams[0]?.http2, config.upstreams[0]?.connections], [false, 12])
  assert.deepEqual(config.credentials, { k: { value: '12345' } })
  assert.deepEqual(config.models, [{ name: 'true', price: { input: 0.25, output: 1 } }])
})

test('a default alone becomes a number too', async () => {
  const { config } = await parse(withSettings({ listen: { port: '${PORT:-8081}' } }))
  assert.equal(config.listen.port, 8081)
})

test('the settings of what Outrider answers itself take variables too', async () => {
  const text = withSettings({
    control: { off: '${OFF}', port: '${PORT}' },
    local: { models: '${MODELS:-false}' },
    cors: { origins: ['https://${HOST}'], maxAge: '${AGE}' },
  })
  const { config } = await parse(text, { OFF: 'true', PORT: '9999', HOST: 'app.example', AGE: '1m' })
  assert.deepEqual(config.control, { off: true, port: 9999, quit: false })
  assert.equal(config.local.models, false)
  assert.deepEqual([config.cors?.origins, config.cors?.maxAge], [['https://app.example'], 60_000])
})

test('a number in quotes without a variable is still refused', async () => {
  assert.deepEqual(await refusal(withSettings({ listen: { port: '8081' } })), [
    'listen.port: must be a whole number from 0 to 65535, without quotes, not "8081"',
  ])
})

test('a variable that is not set is a problem with its place, beside all others, and the value is not judged', async () => {
  const text = `upstreams:
  - name: sheep
    url: \${HOLYSHEP_BASE_URL}
    credential: \${NOWHERE_TO_BE_FOUND}
log:
  level: \${LEVEL}
  levle: info
`
  assert.deepEqual(await refusal(text, { HOLYSHEEP_BASE_URL: 'https://a.example' }), [
    ':3:5 upstreams[0].url: refers to ${HOLYSHEP_BASE_URL}, which the environment does not have (did you mean ${HOLYSHEEP_BASE_URL}?): set it, or write ${NAME:-default}',
    ':4:5 upstreams[0].credential: refers to ${NOWHERE_TO_BE_FOUND}, which the environment does not have: set it, or write ${NAME:-default}',
    ':6:3 log.level: refers to ${LEVEL}, which the environment does not have: set it, or write ${NAME:-default}',
    ':7:3 log.levle: unknown key; did you mean "level"?',
  ])
})

test('a reference that is not finished is a problem', async () => {
  const sentence = 'has a ${ that is not followed by NAME} or NAME:-default}; write $${ for the text itself'
  for (const url of ['https://${', 'https://${}', 'https://${A', 'https://${A-b}', 'https://${1}', 'https://${A B}']) {
    assert.deepEqual(await refusal(withUpstream({ url }), { A: 'a' }), [`upstreams[0].url: ${sentence}`], url)
  }
})

test('what every object inherits is no variable', async () => {
  const [line] = await refusal(withSettings({ log: { level: '${constructor}' } }))
  assert.match(line ?? '', /^log\.level: refers to \$\{constructor\}, which the environment does not have/)
})

test('without an environment nothing is filled in: what comes over the network cannot ask for variables', async () => {
  const { config } = await parseConfig(withUpstream({ auth: { header: 'x', prefix: '${HOME}' } }), 'profile')
  assert.deepEqual(config.upstreams[0]?.auth, { header: 'x', prefix: '${HOME}' })
})

test('keys are not filled in', async () => {
  assert.deepEqual(await refusal(withSettings({ '${A}': {} }), { A: 'log' }), [
    `["\${A}"]: unknown key; known here: ${['listen', 'admin', 'control', 'local', 'cors', 'clients', 'clientsFile', 'upstreams', 'credentials', 'models', 'routing', 'routes', 'retry', 'health', 'timeouts', 'limits', 'streams', 'network', 'drain', 'log'].join(', ')}`,
  ])
})

test('a key from the environment is no key in the config; one to fall back on is', async () => {
  const withKey = (value: string) => withUpstream({ credential: 'k' }, { credentials: { k: { value } } })
  assert.deepEqual((await parse(withKey('${KEY}'), { KEY: 'sk-1' })).warnings, [])
  assert.deepEqual((await parse(withKey('${KEY:-sk-2}'), { KEY: 'sk-1' })).warnings, [
    'x credentials.k.value: is for trials: whoever reads the config has the key; use file or env',
  ])
})

const everywhere = {
  listen: { host: '${S}', port: '${S}' },
  control: { off: '${S}', quit: '${S}', port: '${S}', tokenFile: '${S}' },
  local: { health: '${S}', models: '${S}' },
  cors: { origins: ['${S}'], methods: ['${S}'], headers: ['${S}'], credentials: '${S}', maxAge: '${S}' },
  upstreams: [
    { name: '${S}', url: '${S}', credential: '${S}', auth: '${S}', http2: '${S}', connections: '${S}', addresses: ['${S}'], proxy: '${S}' },
  ],
  credentials: { k: { value: '${S}', env: '${S}' }, l: '${S}' },
  models: [{ name: '${S}', version: '${S}', price: { input: '${S}', output: '${S}' } }, { name: '${S}' }],
  timeouts: { total: '${S}', firstEvent: 'x${S}' },
  limits: { memory: '${S}', jsonBody: '${S}' },
  network: { noProxy: ['${S}'], httpsProxy: '${S}', hostAliases: { a: '${S}' } },
  log: { level: '${S}', levle: '${S}' },
}

test('what a variable holds is never shown, however short', async () => {
  const secret = fc.stringMatching(/^[a-z0-9@:/ ]{0,12}zq[a-z0-9@:/ ]{0,12}$/)
  await fc.assert(
    fc.asyncProperty(secret, async (held) => {
      for (const text of [JSON.stringify(everywhere), JSON.stringify(everywhere, undefined, 2)]) {
        const refused: unknown = await parse(text, { S: held }).catch((error: unknown) => error)
        assert(refused instanceof ConfigRefused)
        assert(!refused.message.includes('zq'), refused.message)
        assert(!JSON.stringify(refused.problems).includes('zq'))
      }
    }),
    { numRuns: 200 },
  )
})

test('a value that is wrong is called by the name of its variable', async () => {
  assert.deepEqual(await refusal(withSettings({ timeouts: { total: '${TOTAL}' } }), { TOTAL: '10' }), [
    'timeouts.total: must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h, not what ${TOTAL} stands for',
  ])
  const text = withUpstream({ credential: '${WHICH}' }, { credentials: { holysheep: { env: 'A' } } })
  assert.deepEqual(await refusal(text, { WHICH: 'holyshep' }), [
    'upstreams[0].credential: must be a name declared in credentials, not what ${WHICH} stands for; declared: holysheep',
  ])
})
