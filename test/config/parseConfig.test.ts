import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseConfig } from '../../sidecar/config/config.ts'
import { withSettings, withUpstream } from './refusal.ts'

test('a small file does the small job: every default is filled in', async () => {
  const { config, warnings } = await parseConfig(
    `
upstreams:
  - name: holysheep
    url: https://api.holysheep.ai/v1
    credential: holysheep
credentials:
  holysheep: { env: HOLYSHEEP_API_KEY }
`,
    'outrider.yaml',
  )
  assert.deepEqual(warnings, [])
  assert.deepEqual(config, {
    listen: { host: 'localhost', port: 8080 },
    admin: { host: '::', port: 9090 },
    control: { off: false, port: 9091, quit: false },
    local: { health: true, stats: true, models: true, streamAlias: true },
    upstreams: [
      {
        name: 'holysheep',
        url: 'https://api.holysheep.ai/v1',
        credential: 'holysheep',
        tier: 1,
        weight: 1,
        continues: 'off',
        check: { by: 'auto', interval: 10_000, quietInterval: 10_000, timeout: 5_000, failures: 3, successes: 2 },
        auth: 'bearer',
        connections: 1000,
        http2: false,
      },
    ],
    credentials: { holysheep: { env: 'HOLYSHEEP_API_KEY' } },
    routing: {
      strategy: 'peak_ewma',
      resume: 'continue',
      affinity: ['prompt_cache_key'],
      affinityLoad: 1.25,
      pins: { off: false, most: 20_000, keep: 576 * 3_600_000 },
    },
    retry: {
      attempts: 3,
      attemptsIfRepeated: 2,
      backoff: 250,
      throttledBackoff: 1_000,
      longestBackoff: 8_000,
      longestWait: 30_000,
      waitBeforeFallback: 2_000,
      spread: 0.25,
      leastLeft: 2_000,
      budget: {
        concurrent: 0.2,
        leastConcurrent: 3,
        rate: 0.2,
        leastRate: 10,
        rateWindow: 60_000,
        tokens: 0.1,
        leastTokens: 200_000,
        tokensWindow: 300_000,
        unanswered: 2,
      },
    },
    health: {
      failures: 5,
      successRate: 0.5,
      minimumCalls: 8,
      window: 60_000,
      ejection: 10_000,
      longestEjection: 300_000,
      ejectionJitter: 0.2,
      forgetEjection: 60_000,
      probation: 12_000,
      hastened: 2_000,
      mostEjected: 0.5,
      slowStart: 30_000,
      slowStartShare: 0.1,
      limited: {
        longestHint: 300_000,
        guess: 2_000,
        longestGuess: 10_000,
        trial: 5_000,
        turn: 1_000,
        overload: 2_000,
        longestOverload: 5_000,
      },
      authProbe: 60_000,
      exhausted: 300_000,
      longestExhausted: 3_600_000,
    },
    timeouts: {
      pool: 30_000,
      connect: 10_000,
      write: 10_000,
      firstEvent: 'adaptive',
      idle: 60_000,
      total: 600_000,
      streamTotal: 3_600_000,
      clientHead: 20_000,
      clientBody: 60_000,
      webSocketIdle: 600_000,
      keepAlive: 75_000,
      upstreamIdle: 4000,
    },
    limits: {
      jsonBody: 50_000_000,
      uploadBody: 512_000_000,
      replayBody: 33_554_432,
      memory: { share: 0.4 },
      inFlight: 1000,
      header: 16_384,
      headers: 100,
    },
    streams: {
      heartbeat: 15_000,
      longestEvent: 8_388_608,
      leastRate: 0,
      malformed: 'pass',
      resumeKept: 1_048_576,
      resumeMemory: 16_777_216,
    },
    network: { dnsCache: 300_000 },
    drain: { grace: 30_000, idleExit: 1000, afterContainers: 0 },
    log: { level: 'info', sample: 1, bodies: 0 },
  })
})

test('JSON and YAML of one config are the same config', async () => {
  const json = await parseConfig(withSettings({ timeouts: { total: '5m' } }), 'profile')
  const yaml = await parseConfig('upstreams: [{ name: sheep, url: "https://api.example/v1" }]\ntimeouts: { total: 5m }', 'file')
  assert.deepEqual(json, yaml)
})

test('a JSON text may start with a byte order mark', async () => {
  const { config } = await parseConfig(`\uFEFF${withSettings()}`, 'x')
  assert.equal(config.listen.port, 8080)
})

test('firstEvent is adaptive or a duration', async () => {
  const { config } = await parseConfig(withSettings({ timeouts: { firstEvent: '90s' } }), 'x')
  assert.equal(config.timeouts.firstEvent, 90_000)
})

test('a heartbeat that is off is 0', async () => {
  const { config } = await parseConfig(withSettings({ streams: { heartbeat: 'off' } }), 'x')
  assert.equal(config.streams.heartbeat, 0)
})

test('memory is a share or a size', async () => {
  const share = await parseConfig(withSettings({ limits: { memory: '25%' } }), 'x')
  const size = await parseConfig(withSettings({ limits: { memory: '256MiB' } }), 'x')
  assert.deepEqual([share.config.limits.memory, size.config.limits.memory], [{ share: 0.25 }, { bytes: 268_435_456 }])
})

test('a key can go into any header, with anything before it', async () => {
  const { config } = await parseConfig(withUpstream({ auth: { header: 'x-key', prefix: 'Key ' } }), 'x')
  assert.deepEqual(config.upstreams[0]?.auth, { header: 'x-key', prefix: 'Key ' })
})

test('an upstream url may have a port, a path and a query', async () => {
  const url = 'https://one.example:8443/openai?api-version=2026-01-01'
  const { config } = await parseConfig(withUpstream({ url }), 'x')
  assert.equal(config.upstreams[0]?.url, url)
})

test('every way to write a host of noProxy is taken', async () => {
  const noProxy = ['localhost', '.svc', '*.cluster.local', '10.0.0.0/8', 'fd00::/8', 'api.example:443', '[::1]:80', '*']
  const { config } = await parseConfig(withSettings({ network: { noProxy } }), 'x')
  assert.deepEqual(config.network.noProxy, noProxy)
})

test('a model has a name, and may have a version, prices and limits', async () => {
  const models = [
    {
      name: 'gpt-4.1',
      version: '1.2.0-rc.1+b7',
      price: { input: 2, output: 8, cached: 0.5 },
      limits: { context: 1_000_000, output: 32_768 },
    },
    { name: 'org/model:free' },
  ]
  const { config } = await parseConfig(withSettings({ models }), 'x')
  assert.deepEqual(config.models, models)
})

test('cors, local answers and the control port are settings', async () => {
  const settings = { control: { off: true, tokenFile: '/run/token' }, local: { stats: false }, cors: { origins: ['https://a.example'] } }
  const { config } = await parseConfig(withSettings(settings), 'x')
  assert.deepEqual(config.control, { off: true, port: 9091, quit: false, tokenFile: '/run/token' })
  assert.deepEqual(config.local, { health: true, stats: false, models: true, streamAlias: true })
  const usual = { methods: ['GET', 'POST', 'DELETE'], headers: ['*'], credentials: false, maxAge: 600_000 }
  assert.deepEqual(config.cors, { origins: ['https://a.example'], ...usual })
})

test('a config cannot be changed by who reads it', async () => {
  const { config } = await parseConfig(withSettings(), 'x')
  assert.throws(() => Object.assign(config.timeouts, { total: 1 }), TypeError)
  assert.throws(() => Object.assign(config.upstreams[0] ?? {}, { url: '' }), TypeError)
})
