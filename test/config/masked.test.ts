import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseConfig, type Config } from '../../sidecar/config/config.ts'
import { masked } from '../../sidecar/config/masked.ts'

const secret = 'sk-very-secret'
const digest = 'ab'.repeat(32)

async function aConfig(): Promise<Config> {
  const { config } = await parseConfig(
    JSON.stringify({
      clients: [{ name: 'one', sha256: digest }],
      upstreams: [
        {
          name: 'a',
          url: `https://api.example/v1?api-version=2&key=${secret}`,
          credential: 'k',
          auth: { header: 'x-k', prefix: `${secret} ` },
          proxy: `http://me:${secret}@proxy.example:3128`,
        },
      ],
      credentials: { k: { value: secret }, f: { file: '/run/secrets/k' }, e: { env: 'A_KEY' } },
      network: { httpsProxy: `http://${secret}@proxy.example:3128` },
    }),
    'x',
  )
  return config
}

test('nothing that is a key, or may hold one, is shown; where keys come from is', async () => {
  const shown = masked(await aConfig()) as Config
  const text = JSON.stringify(shown)
  assert.equal(text.includes(secret), false, text)
  assert.equal(text.includes(digest), false, text)
  assert.deepEqual(shown.credentials, { k: { value: '***' }, f: { file: '/run/secrets/k' }, e: { env: 'A_KEY' } })
  assert.equal(shown.upstreams[0]?.url, 'https://api.example/v1?api-version=2&key=***')
  assert.equal(shown.upstreams[0]?.proxy, 'http://***:***@proxy.example:3128/')
  assert.equal(shown.timeouts.total, 600_000)
})

test('what comes out of the environment is masked where a key may stand', async () => {
  const text = JSON.stringify({
    upstreams: [{ name: 'a', url: 'https://api.example/v1?${KEY}&k=${KEY}&api-version=2', credential: 'k', proxy: '${PROXY}' }],
    credentials: { k: { value: '${KEY}' } },
  })
  const env = { KEY: secret, PROXY: `http://${secret}:x@proxy.example:1` }
  const { config } = await parseConfig(text, 'x', env)
  const shown = masked(config) as Config
  assert.equal(JSON.stringify(shown).includes(secret), false, JSON.stringify(shown))
  assert.equal(shown.upstreams[0]?.url, 'https://api.example/v1?***&k=***&api-version=2')
  assert.equal(shown.upstreams[0]?.proxy, 'http://***:***@proxy.example:1/')
  assert.deepEqual(shown.credentials, { k: { value: '***' } })
})
