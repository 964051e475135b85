import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { loadConfig } from '../../sidecar/config/config.ts'
import { configFromEnvironment } from '../../sidecar/config/environment.ts'
import { environmentNames } from '../../sidecar/config/environmentNames.ts'
import { ConfigRefused } from '../../sidecar/config/refused.ts'
import { tempFile } from '../fixtures/runOutrider.ts'
import { withSettings } from './refusal.ts'

type Env = Readonly<Record<string, string>>

async function refusal(env: Env): Promise<string[]> {
  const refused: unknown = await configFromEnvironment(env).catch((error: unknown) => error)
  assert(refused instanceof ConfigRefused, 'the environment was taken')
  return refused.message.split('\n').map((line) => line.replace(/^environment /, ''))
}

const key = { HOLYSHEEP_API_KEY: 'sk-a' }

suite('the environment alone', () => {
  test('is a config with a key: its name says the provider', async () => {
    for (const [name, upstream, url] of [
      ['HOLYSHEEP_API_KEY', 'holysheep', 'https://api.holysheep.ai/v1'],
      ['OPENAI_API_KEY', 'openai', 'https://api.openai.com/v1'],
    ] as const) {
      const { config, warnings } = await configFromEnvironment({ [name]: 'sk-a' })
      assert.deepEqual([config.upstreams[0]?.name, config.upstreams[0]?.url], [upstream, url])
      // The key itself stays where it is.
      assert.deepEqual(config.credentials, { key: { env: name } })
      assert.equal(config.upstreams[0]?.credential, 'key')
      assert.deepEqual([config.listen, config.log.level], [{ host: 'localhost', port: 8080 }, 'info'])
      assert.deepEqual(warnings, [])
    }
  })

  test('sends any key to the URL that it names', async () => {
    for (const name of ['HOLYSHEEP_API_KEY', 'API_KEY', 'OPENAI_API_KEY']) {
      for (const url of ['HOLYSHEEP_BASE_URL', 'BASE_URL', 'OPENAI_BASE_URL']) {
        const { config } = await configFromEnvironment({ [name]: 'k', [url]: 'https://llm.example/v1' })
        assert.deepEqual(config.upstreams[0]?.url, 'https://llm.example/v1')
        assert.deepEqual(config.credentials, { key: { env: name } })
        assert.equal(config.upstreams[0]?.name, 'upstream')
      }
    }
    const known = await configFromEnvironment({ API_KEY: 'k', BASE_URL: 'https://api.holysheep.ai/v1' })
    assert.equal(known.config.upstreams[0]?.name, 'holysheep')
  })

  test('with API_KEY alone does not know where calls go, and says what to set', async () => {
    assert.deepEqual(await refusal({ API_KEY: 'k' }), [
      'API_KEY: does not say where calls go: set BASE_URL as well, or call the key HOLYSHEEP_API_KEY or OPENAI_API_KEY',
    ])
  })

  test('with nothing in it says what to set; variables that are empty are called so', async () => {
    const advice = 'set HOLYSHEEP_API_KEY or OPENAI_API_KEY, or API_KEY and BASE_URL, or write a file and name it with --config FILE'
    assert.deepEqual(await refusal({ HOME: '/' }), [`environment: has neither a key nor a URL: ${advice}`])
    assert.deepEqual(await refusal({ API_KEY: ' \n', BASE_URL: '' }), [
      `environment: has neither a key nor a URL (API_KEY and BASE_URL are there, but empty): ${advice}`,
    ])
  })

  test('with a URL alone calls without a key, and warns', async () => {
    const { config, warnings } = await configFromEnvironment({ BASE_URL: 'http://vllm.example:8000/v1' })
    assert.deepEqual([config.upstreams[0]?.credential, config.credentials], [undefined, {}])
    assert.deepEqual(warnings, ['environment: has a URL but no key: calls go out without one'])
  })

  test('warns of a key that would travel unencrypted', async () => {
    const { warnings } = await configFromEnvironment({ API_KEY: 'k', BASE_URL: 'http://llm.example/v1' })
    assert.deepEqual(warnings, ['environment BASE_URL: is http: the key travels unencrypted'])
  })

  test('that says two things is refused with the names', async () => {
    assert.deepEqual(
      await refusal({
        API_KEY: 'sk-one',
        OPENAI_API_KEY: 'sk-two',
        HOLYSHEEP_BASE_URL: 'https://a.example',
        BASE_URL: 'https://b.example',
        OPENAI_BASE_URL: 'https://b.example',
        HTTPS_PROXY: 'http://a.example',
        https_proxy: 'http://b.example',
      }),
      [
        'API_KEY and OPENAI_API_KEY: contradict each other: keep one of them, or give them the same value',
        'HOLYSHEEP_BASE_URL, BASE_URL and OPENAI_BASE_URL: contradict each other: keep one of them, or give them the same value',
        'HTTPS_PROXY and https_proxy: contradict each other: keep one of them, or give them the same value',
      ],
    )
  })

  test('may say one thing twice', async () => {
    const { config } = await configFromEnvironment({
      API_KEY: 'k',
      OPENAI_API_KEY: 'k ',
      BASE_URL: 'https://a.example/v1',
      OPENAI_BASE_URL: 'https://a.example/v1/',
    })
    assert.equal(config.upstreams[0]?.url, 'https://a.example/v1/'.slice(0, -1))
  })

  test('does not guess which of two providers is meant', async () => {
    assert.deepEqual(await refusal({ HOLYSHEEP_API_KEY: 'k', OPENAI_API_KEY: 'k' }), [
      'HOLYSHEEP_API_KEY and OPENAI_API_KEY: name two providers: set BASE_URL to the one that is meant',
    ])
    const { config } = await configFromEnvironment({ HOLYSHEEP_API_KEY: 'k', API_KEY: 'k' })
    assert.equal(config.upstreams[0]?.name, 'holysheep')
  })

  test('bounds with REQUEST_TIMEOUT a non-stream, the first event and the silence of a stream, never the whole of one', async () => {
    const { timeouts: usual } = (await configFromEnvironment(key)).config
    const { timeouts } = (await configFromEnvironment({ ...key, REQUEST_TIMEOUT: '2.5' })).config
    assert.deepEqual(timeouts, { ...usual, total: 2500, firstEvent: 2500, idle: 2500 })
    for (const wrong of ['0', '-1', '1m', 'soon', '1e3', '2073601', '0.0001']) {
      assert.deepEqual(await refusal({ ...key, REQUEST_TIMEOUT: wrong }), [
        'REQUEST_TIMEOUT: must be seconds, a number such as 60 or 2.5, more than 0 and at most 2073600',
      ])
    }
  })

  test('takes LOG_LEVEL in any case, and in the words of Python', async () => {
    for (const [written, level] of [
      ['DEBUG', 'debug'],
      ['Error', 'error'],
      ['WARNING', 'warn'],
      ['critical', 'fatal'],
    ] as const) {
      assert.equal((await configFromEnvironment({ ...key, LOG_LEVEL: written })).config.log.level, level)
    }
    assert.deepEqual(await refusal({ ...key, LOG_LEVEL: 'loud' }), [
      'LOG_LEVEL: must be one of trace, debug, info, warn, error, fatal, silent, not what it holds',
    ])
  })

  test('takes ports, and refuses what is none', async () => {
    const { config } = await configFromEnvironment({ ...key, PORT: '9090', ADMIN_PORT: '0' })
    assert.deepEqual([config.listen.port, config.admin.port], [9090, 0])
    assert.deepEqual(await refusal({ ...key, PORT: 'tcp://10.0.0.1:80', ADMIN_PORT: '65536' }), [
      'PORT: must be a whole number from 0 to 65535, not what it holds',
      'ADMIN_PORT: must be a whole number from 0 to 65535, not what it holds',
    ])
    assert.deepEqual(await refusal({ ...key, PORT: '9090' }), [
      'PORT: is 9090, the port of probes and metrics: choose another, or another ADMIN_PORT for them',
    ])
    assert.deepEqual(await refusal({ ...key, PORT: '9091' }), [
      'PORT: is 9091, the port of the status: choose another, or move that with control.port in a config file',
    ])
    assert.deepEqual(await refusal({ ...key, ADMIN_PORT: '8080' }), [
      'ADMIN_PORT: is 8080, the port of listen too: choose another for one of them',
    ])
  })

  test('takes proxies in both spellings', async () => {
    const { config } = await configFromEnvironment({
      ...key,
      HTTPS_PROXY: 'http://proxy.example:3128',
      http_proxy: 'http://other.example',
      NO_PROXY: 'localhost, .svc,10.0.0.0/8',
      no_proxy: 'localhost, .svc,10.0.0.0/8',
    })
    assert.deepEqual(config.network, {
      httpsProxy: 'http://proxy.example:3128',
      httpProxy: 'http://other.example',
      noProxy: ['localhost', '.svc', '10.0.0.0/8'],
      dnsCache: 300_000,
    })
    assert.deepEqual(await refusal({ ...key, HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: 'a.example,=' }), [
      'HTTPS_PROXY: must be a whole URL that starts with https:// or http://, not what it holds',
      'NO_PROXY[1]: must be a host, a .suffix, an IP address, a CIDR block, a host:port or *, not what it holds',
    ])
  })

  test('names the model of calls that name none, the one to fall back on, and how often a call is repeated', async () => {
    const { config, warnings } = await configFromEnvironment({ ...key, DEFAULT_MODEL: 'a', FALLBACK_MODEL: 'b', MAX_RETRIES: '4' })
    assert.deepEqual(warnings, [])
    assert.equal(config.routing.defaultModel, 'a')
    assert.deepEqual(
      config.routing.fallbacks?.map(({ model }) => model),
      ['b'],
    )
    // The first attempt is no repeat.
    assert.equal(config.retry.attempts, 5)
    assert.equal((await configFromEnvironment({ ...key, MAX_RETRIES: '0' })).config.retry.attempts, 1)
    assert.deepEqual((await configFromEnvironment({ ...key, FALLBACK_MODEL: 'b', MAX_RETRIES: '0' })).warnings, [
      'environment MAX_RETRIES: leaves none for a fallback: a call that fails is not asked of another model',
    ])
    assert.deepEqual(await refusal({ ...key, MAX_RETRIES: 'many' }), ['MAX_RETRIES: must be a whole number from 0 to 9'])
    assert.deepEqual(await refusal({ ...key, FALLBACK_MODEL: 'two words' }), [
      'FALLBACK_MODEL: must be the name of a model: printable ASCII without spaces, at most 200 characters, not what it holds',
    ])
  })

  test('that leads back to ourselves is refused', async () => {
    assert.deepEqual(await refusal({ ...key, OPENAI_BASE_URL: 'http://localhost:8080/v1' }), [
      'OPENAI_BASE_URL: is where Outrider itself listens: calls would go round in a circle',
    ])
  })

  test('never has a value of it shown, and is either taken or refused', async () => {
    const names = environmentNames.flatMap(({ names: all }): readonly string[] => all)
    const value = fc.oneof(
      fc.stringMatching(/^[ -~]{0,10}zq[ -~]{0,10}$/),
      fc.constantFrom('', '0', '1', 'https://zq.example', 'http://u:zq@a'),
    )
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...names), value), async (env) => {
        try {
          assert.doesNotMatch((await configFromEnvironment(env)).warnings.join('\n'), /zq/)
        } catch (refused) {
          assert(refused instanceof ConfigRefused, String(refused))
          assert.doesNotMatch(refused.message, /zq/)
        }
      }),
      { numRuns: 500 },
    )
  })
})

test('beside a file the variables but those of proxies do nothing, and a warning names those that the file does not mention', async (t) => {
  const file = tempFile(t, 'outrider.json', withSettings({ log: { level: '${LOG_LEVEL:-warn}' } }))
  const { config, warnings } = await loadConfig(file, { LOG_LEVEL: 'error', PORT: '1', HTTPS_PROXY: 'http://a', NO_PROXY: '', HOME: '/' })
  assert.deepEqual([config.log.level, config.listen.port, config.network.httpsProxy], ['error', 8080, undefined])
  assert.deepEqual(warnings, ['PORT in the environment does nothing beside a config file: say it in the file instead'])
  assert.deepEqual((await loadConfig(file, { LOG_LEVEL: 'error' })).warnings, [])
})
