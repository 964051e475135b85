import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigRefused } from '../../sidecar/config/refused.ts'
import { parseConfig } from '../../sidecar/config/config.ts'
import { parseProfile } from '../../sidecar/injector/profile.ts'

const upstream = '{ name: fake, url: https://llm.example/v1, credential: fake }'
const parsed = async (text: string) => (await parseProfile('team', text, 'profile.yaml')).profile

async function refusal(text: string): Promise<readonly string[]> {
  try {
    await parseProfile('team', text, 'profile.yaml')
  } catch (err) {
    if (err instanceof ConfigRefused) return err.message.split('\n')
    throw err
  }
  assert.fail('it was taken')
}

test('the shortest profile is an upstream: its key stands under the name of the credential in the usual Secret', async () => {
  const profile = await parsed(`config: { upstreams: [${upstream}] }`)
  assert.equal(profile.secret, 'outrider-credentials')
  assert.deepEqual(profile.document['credentials'], { fake: { file: '/etc/outrider/credentials/fake' } })
  assert.deepEqual(profile.config.credentials, { fake: { file: '/etc/outrider/credentials/fake' } })
  assert.deepEqual(profile.inject, {
    env: {},
    scrape: false,
    cpuRequest: '10m',
    memoryRequest: '72Mi',
    memoryLimit: '160Mi',
    imagePullSecrets: [],
  })
})

test('the key may stand under any name in any Secret of the namespace', async () => {
  const profile = await parsed(`config: { upstreams: [${upstream}] }\nsecret: { name: openai, keys: { fake: api-key } }`)
  assert.equal(profile.secret, 'openai')
  assert.deepEqual(profile.document['credentials'], { fake: { file: '/etc/outrider/credentials/api-key' } })
})

test('without a credential no Secret is needed, unless the profile names one', async () => {
  const upstreams = 'upstreams: [{ name: fake, url: https://llm.example/v1 }]'
  assert.equal((await parsed(`config: { ${upstreams} }`)).secret, undefined)
  assert.equal((await parsed(`config: { ${upstreams} }\nsecret: { name: roots }`)).secret, 'roots')
})

test('the hash changes with whatever a pod would get, and with nothing else', async () => {
  const text = `config: { upstreams: [${upstream}] }`
  const { hash } = await parsed(text)
  assert.equal((await parsed(`# a remark\n${text}\n`)).hash, hash)
  for (const more of ['secret: { keys: { fake: other } }', 'inject: { cpuRequest: 20m }', "inject: { env: { LLM: '{url}' } }"]) {
    assert.notEqual((await parsed(`${text}\n${more}`)).hash, hash, more)
  }
})

test('a text in a profile means itself, in the sidecar too, whose file would fill in variables', async () => {
  const written = `config: { upstreams: [{ name: fake, url: https://llm.example/v1, credential: fake, auth: { header: x-key, prefix: 'a $\${HOME} \${HOME} $' } }] }`
  const { document } = await parsed(written)
  const { config } = await parseConfig(JSON.stringify(document), 'config.json', { HOME: '/root' })
  assert.deepEqual(config.upstreams[0]?.auth, { header: 'x-key', prefix: 'a $${HOME} ${HOME} $' })
})

test('everything that is wrong is said at once, with its place', async () => {
  const text = `config:
  listen: { host: 0.0.0.0, tls: { cert: /c, key: /k } }
  admin: { host: localhost, port: 0 }
  control: { port: 91, quit: true }
  drain: { afterContainers: 1 }
  clientsFile: /clients
  upstreams: [{ name: fake, url: https://llm.example/v1, credential: fake, timout: 3 }]
  credentials: { fake: { value: sk-0123456789abcdef } }
secret: { keys: { fakr: KEY } }
inject: { env: { 'A B': x }, cpuRequest: 2, cpuLimit: 1, memoryLimit: 10Mi, scrap: true }
`
  const lines = await refusal(text)
  const expected = [
    /:2:13 config\.listen\.host: is not the loopback: an injected sidecar serves its own pod only/,
    /:2:28 config\.listen\.tls: has no place here/,
    /:3:12 config\.admin\.host: is the loopback/,
    /config\.admin\.port: must be a fixed one/,
    /:4:24 config\.control\.quit: is for the injector to say/,
    /:4:14 config\.control\.port: must be 1024 or more/,
    /:5:12 config\.drain\.afterContainers: is for the injector to say/,
    /:6:3 config\.clientsFile: has no place here/,
    /config\.upstreams\[0\]\.timout: unknown key/,
    /:8:3 config\.credentials: is made from secret\.keys: leave it out/,
    /secret\.keys\.fakr: must be a credential of an upstream, not "fakr"; did you mean "fake"\?/,
    /inject\.env\["A B"\]: must be the name of an environment variable/,
    /inject\.cpuRequest: is more than cpuLimit/,
    /inject\.memoryLimit: is less than 48Mi/,
    /inject\.scrap: unknown key; did you mean "scrape"\?/,
  ]
  for (const line of expected)
    assert.ok(
      lines.some((one) => line.test(one)),
      `${line} in\n${lines.join('\n')}`,
    )
  assert.equal(lines.length, expected.length, lines.join('\n'))
  assert.doesNotMatch(lines.join('\n'), /sk-0123/)
})

test('what is no profile at all is refused with a sentence', async () => {
  assert.match((await refusal('')).join(), /is empty/)
  assert.match((await refusal('upstreams: []')).join(), /config: is missing/)
  assert.match((await refusal('config: [')).join(), /is not YAML/)
  assert.match((await refusal('config: 3')).join(), /config: must be a mapping/)
})

test('a profile that no pod could carry is refused', async () => {
  const models = Array.from({ length: 5_000 }, (_, at) => `{ name: a-model-with-a-long-name-${at} }`).join(', ')
  assert.match((await refusal(`config: { upstreams: [${upstream}], models: [${models}] }`)).join(), /annotation of each pod/)
})

test('a template of a variable knows three words', async () => {
  const lines = await refusal(`config: { upstreams: [${upstream}] }\ninject: { env: { A: '{port}', B: '{url}{origin}{key}' } }`)
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', /inject\.env\.A: must be a text in which \{url\}, \{origin\} and \{key\} are filled in/)
})

test('of memory, a request or a limit alone is enough: the other one gives way', async () => {
  const memoryOf = async (written: string) => {
    const { memoryRequest, memoryLimit } = (await parsed(`config: { upstreams: [${upstream}] }\ninject: { ${written} }`)).inject
    return [memoryRequest, memoryLimit]
  }
  assert.deepEqual(await memoryOf('memoryRequest: 200Mi'), ['200Mi', '200Mi'])
  assert.deepEqual(await memoryOf('memoryLimit: 64Mi'), ['64Mi', '64Mi'])
  assert.deepEqual(await memoryOf('memoryRequest: 100Mi'), ['100Mi', '160Mi'])
})

test('a file that a config names is one of the mounted Secret, for a sidecar has no other', async () => {
  const tls = (ca: string) =>
    `config: { upstreams: [{ name: fake, url: https://llm.example/v1, tls: { ca: ${ca} } }], network: { ca: /etc/proxy.pem } }`
  const lines = await refusal(tls('/roots/ca.pem'))
  assert.equal(lines.length, 2)
  assert.match(lines[0] ?? '', /config\.upstreams\[0\]\.tls\.ca: is no file that a sidecar has: put it into the Secret/)
  assert.match(lines[1] ?? '', /config\.network\.ca: is no file/)
  const inSecret = `${tls('/etc/outrider/credentials/ca.crt').replace('/etc/proxy.pem', '/etc/outrider/credentials/proxy.pem')}\nsecret: { name: roots }`
  assert.equal((await parsed(inSecret)).secret, 'roots')
  assert.equal((await parsed(inSecret.replace(/secret:.*/, ''))).secret, 'outrider-credentials')
})
