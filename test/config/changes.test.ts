import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changesBetween } from '../../sidecar/config/changes.ts'
import { parseConfig, type Config } from '../../sidecar/config/config.ts'
import { merged, type Document } from '../fixtures/startSidecar.ts'

const config = async (over: Document = {}): Promise<Config> => {
  const base = { upstreams: [{ name: 'llm', url: 'https://llm.example/v1', credential: 'main' }], credentials: { main: { value: 'sk-0' } } }
  return (await parseConfig(JSON.stringify(merged(base, over)), 'test')).config
}

const changes = async (before: Document, after: Document): Promise<string[]> => changesBetween(await config(before), await config(after))

test('values are told as a person writes them, with the defaults that they take the place of', async () => {
  const after = {
    timeouts: { total: '90s', firstEvent: '20s' },
    limits: { jsonBody: '8MiB', memory: '256MiB', inFlight: 5 },
    streams: { heartbeat: 'off' },
    drain: { grace: '0s' },
    log: { level: 'warn', bodies: '4KiB', sample: 0.5 },
    network: { noProxy: ['a.example', 'b.example'] },
  }
  assert.deepEqual(await changes({}, after), [
    'timeouts.firstEvent: adaptive → 20s',
    'timeouts.total: 10m → 90s',
    'limits.jsonBody: 50MB → 8MiB',
    'limits.memory: 40% → 256MiB',
    'limits.inFlight: 1000 → 5',
    'streams.heartbeat: 15s → off',
    'network.noProxy: [a.example, b.example] is new',
    'drain.grace: 30s → 0s',
    'log.level: info → warn',
    'log.sample: 1 → 0.5',
    'log.bodies: off → 4KiB',
  ])
  assert.deepEqual(await changes({}, {}), [])
})

test('an upstream is told by its name', async () => {
  const upstream = (over: object) => ({ upstreams: [{ name: 'llm', url: 'https://llm.example/v1', credential: 'main', ...over }] })
  assert.deepEqual(await changes({}, upstream({ url: 'https://other.example/v1' })), [
    'upstreams.llm.url: https://llm.example/v1 → https://other.example/v1',
  ])
  const [gone, come, ...rest] = await changes({}, upstream({ name: 'other', connections: 7 }))
  assert.match(gone ?? '', /^upstreams\.llm: \{ name: llm, url: https:\/\/llm\.example\/v1, .*\} is gone$/)
  assert.match(come ?? '', /^upstreams\.other: \{ name: other, .*connections: 7.*\} is new$/)
  assert.deepEqual(rest, [])
})

test('no key, password or query of a URL is ever told', async () => {
  const before = { credentials: { main: { value: 'sk-before-1' } }, network: { httpsProxy: 'http://ann:hunter1@proxy.example:3128' } }
  const after = {
    credentials: { main: { value: 'sk-after-2' }, more: { value: 'sk-more-3' } },
    network: { httpsProxy: 'http://ann:hunter2@proxy.example:3128' },
    upstreams: [{ name: 'llm', url: 'https://llm.example/v1?code=hunter3&api-version=7', credential: 'main' }],
  }
  const told = await changes(before, after)
  assert.deepEqual(told, [
    'upstreams.llm.url: https://llm.example/v1 → https://llm.example/v1?code=***&api-version=7',
    'credentials.main.value: (a secret) → another',
    'credentials.more: { value: (a secret) } is new',
    'network.httpsProxy: http://***@proxy.example:3128 → another',
  ])
})
