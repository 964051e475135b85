import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseConfig, type Config } from '../../sidecar/config/config.ts'
import { configHash, masked } from '../../sidecar/config/masked.ts'

const secret = 'sk-very-secret'
const digest = 'ab'.repeat(32)

async function aConfig(key = secret): Promise<Config> {
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
      credentials: { k: { value: key }, f: { file: '/run/secrets/k' }, e: { env: 'A_KEY' } },
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

test('the hash tells configs apart, their keys included', async () => {
  const hash = configHash(await aConfig())
  assert.match(hash, /^[0-9a-f]{64}$/)
  assert.equal(hash, configHash(await aConfig()))
  assert.notEqual(hash, configHash(await aConfig('another')))
})
