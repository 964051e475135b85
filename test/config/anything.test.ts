import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { ConfigRefused, parseClients, parseConfig } from '../../sidecar/config/config.ts'
import { withUpstream } from './refusal.ts'

async function messageOf(text: string): Promise<string> {
  try {
    return (await parseConfig(text, 'x')).warnings.join('\n')
  } catch (refused) {
    assert(refused instanceof ConfigRefused, String(refused))
    return refused.message
  }
}

test('any text is either taken or refused, never anything else', async () => {
  const yamlLike = fc.array(
    fc.constantFrom('a', ': ', '\n', '- ', '  ', '\t', '{', '}', '[', ']', '"', "'", '&a', '*a', '!b', '#', '---', '|', '?', '<<', ','),
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    yamlLike.map((parts) => parts.join('')),
  )
  await fc.assert(
    fc.asyncProperty(text, async (any) => {
      await messageOf(any)
      await parseClients(any, 'x').catch((refused: unknown) => assert(refused instanceof ConfigRefused, String(refused)))
    }),
    { numRuns: 1000 },
  )
})

const whole = {
  listen: { host: 'localhost', port: 1, tls: { cert: 'a', key: 'b' } },
  admin: { host: '::', port: 2 },
  clients: [{ name: 'a', sha256: 'a'.repeat(64) }],
  clientsFile: 'c',
  upstreams: [
    {
      name: 'a',
      url: 'https://a.example',
      credential: 'k',
      auth: { header: 'x', prefix: 'y' },
      connections: 1,
      http2: true,
      addresses: ['::1'],
      tls: { ca: 'a', cert: 'b', key: 'c', serverName: 'd' },
      proxy: 'none',
    },
  ],
  credentials: { k: { file: 'a' }, l: { env: 'A' }, m: { value: 'a' } },
  models: [{ name: 'm', version: '1.0.0', price: { input: 1, output: 2, cached: 0.5 }, limits: { context: 1, output: 1 } }],
  routing: { peakEwma: { decay: '1s', penalty: '1s', level: 2, fullScan: 4 } },
  retry: { leastLeft: '1s' },
  timeouts: { pool: '1s', connect: '1s', firstEvent: 'adaptive', adaptive: { shortest: '1s', longest: '1m', times: 2, warmAfter: 9 } },
  limits: { jsonBody: '1MB', memory: '10%', inFlight: 1 },
  streams: { heartbeat: 'off', longestEvent: '1MB' },
  network: { httpsProxy: 'http://a', noProxy: ['*'], hostAliases: { a: ['::1'] }, dnsCache: '1s' },
  drain: { grace: '1s' },
  log: { level: 'info' },
}

/** Every place of a document, each replaced by something in turn. */
function replacements(value: unknown, put: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [put]
  const inside = Object.entries(value).flatMap(([key, child]) =>
    replacements(child, put).map((changed) => (Array.isArray(value) ? value.with(Number(key), changed) : { ...value, [key]: changed })),
  )
  const added = Array.isArray(value) ? [...value, put] : { ...value, [typeof put === 'string' ? put : 'added']: put }
  return [put, added, ...inside]
}

test('any value at any place is either taken or refused, never anything else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (put) => {
      await Promise.all(replacements(whole, put).map((document) => messageOf(JSON.stringify(document))))
    }),
    { numRuns: 50 },
  )
})

const key = fc
  .tuple(fc.constantFrom('', 'sk-', 'sk-proj-', 'sk-ant-', 'AIza', 'Bearer ', 'gsk_'), fc.stringMatching(/^[A-Za-z0-9_-]{32,60}$/))
  .map(([prefix, rest]) => prefix + rest)

test('a key pasted at any place, as a value or as a name, never shows in what we say', async () => {
  await fc.assert(
    fc.asyncProperty(key, async (secret) => {
      for (const put of [secret, `https://${secret}@a.example`, `https://a.example/#${secret}`, [secret], { [secret]: secret }]) {
        for (const document of replacements(whole, put)) {
          const said = [await messageOf(JSON.stringify(document)), await messageOf(stringify(document))]
          for (const message of said) assert(!message.includes(secret), message)
        }
      }
    }),
    { numRuns: 10 },
  )
})

test('a key in a text that is no YAML at all never shows in what we say', async () => {
  const around = [
    ['credentials: {k: {value: "', ''],
    ['credentials:\n\tk: ', ''],
    ['a: *', ''],
    ['a: !', ' b'],
    ['"', '": 1\n"'],
    ['{"value": ', '}'],
    ['a: b: ', ''],
    ['? [', ']\n: a'],
    ['%', '\n---\na'],
    ['a: "\\', '"'],
    ['a: 1\n', ': 2\n'],
  ]
  await fc.assert(
    fc.asyncProperty(key, async (secret) => {
      for (const [before, behind] of around) {
        const message = await messageOf(`${before}${secret}${behind}\n`)
        assert(!message.includes(secret), message)
      }
    }),
    { numRuns: 20 },
  )
})

test('what stands in the place of a key never shows, however short', async () => {
  for (const value of ['hunter2', 4711, ['hunter2'], { hunter2: 4711 }]) {
    const documents = [{ k: value }, { k: { value } }, { k: { value, env: 'A' } }, { k: { env: value } }]
    for (const credentials of documents) {
      const message = await messageOf(withUpstream({ credential: 'k', proxy: 'http://u:hunter2@' }, { credentials }))
      assert.doesNotMatch(message.replaceAll(/\.hunter2: unknown key/g, ''), /hunter2|4711/)
    }
  }
})
