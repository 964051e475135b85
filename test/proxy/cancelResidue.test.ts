import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { test, type TestContext } from 'node:test'
import { answers, cutAfter, garbage, hangUp, provider, sse, stall, stallAfter, type Step } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const done = '{"choices":[{"finish_reason":"stop"}]}'

/** What the upstream does with a call, by the word in its path; what the client does is the other half of the mixture. */
const fates: Record<string, Step> = {
  ok: answers(200, { ok: true }),
  busy: answers(429, { error: { message: 'slow down' } }),
  stream: sse(done, '[DONE]'),
  cut: cutAfter('{"choices":[1]}'),
  hangup: hangUp(),
  nonsense: garbage(),
  hang: stall(),
  silent: stallAfter('{"choices":[1]}'),
}
const names = Object.keys(fates)

/** A call that ends by itself, or whose client leaves with the head, or at once. */
function once(sidecar: Sidecar, agent: Agent, n: number): Promise<string> {
  const fate = names[n % names.length] ?? 'ok'
  const leaves = n % 5 === 0
  const streams = fate === 'stream' || fate === 'cut' || fate === 'silent' || n % 3 === 0
  return new Promise((over) => {
    const headers = { 'content-type': 'application/json', 'x-stainless-timeout': '0.2', 'x-stainless-read-timeout': '0.2' }
    const req = request(`${sidecar.url}/chat/completions?${fate}`, { method: 'POST', agent, headers }, (res) => {
      if (n % 10 === 0) req.destroy()
      res
        .on('error', () => {})
        .on('close', () => {
          over(`${fate} ${res.statusCode}`)
        })
      res.resume()
    })
    req.on('error', () => {
      over(`${fate} no answer`)
    })
    req.on('finish', () => {
      if (leaves && n % 10 !== 0) setImmediate(() => req.destroy())
    })
    req.end(JSON.stringify({ model: 'm', stream: streams, padding: n % 7 === 0 ? 'x'.repeat(100_000) : '' }))
  })
}

/** Of sockets that were closed a moment ago some are still on their way out; what was left behind stays. */
async function handlesAtMost(most: number): Promise<number> {
  for (let turn = 0; turn < 500 && handles() > most; turn++) await new Promise((go) => setTimeout(go, 20))
  return handles()
}

const handles = (): number => process.getActiveResourcesInfo().filter((one) => one !== 'Immediate').length

async function mixture(sidecar: Sidecar, agent: Agent, count: number): Promise<Set<string>> {
  const seen = new Set<string>()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) seen.add(await once(sidecar, agent, next++))
  }
  await Promise.all(Array.from({ length: 100 }, worker))
  return seen
}

/** Waits until the last calls are over, and everything they had is given back. */
async function settled({ proxy }: Sidecar): Promise<void> {
  const nothing = { inFlight: 0, alarms: 0, heldBytes: 0, connections: 0 }
  for (;;) {
    const left = proxy.residue()
    if (left.inFlight === 0 && left.connections === 0) {
      assert.deepEqual(left, nothing)
      return
    }
    await new Promise((go) => setTimeout(go, 20))
  }
}

test('two thousand calls that end in every way leave nothing behind', async (t: TestContext) => {
  const upstream = await provider(t, (exchange) => fates[exchange.seen.path.split('?')[1] ?? '']?.(exchange), { keepAliveMs: 0 })
  const sidecar = await startSidecar(
    t,
    upstream.url,
    { timeouts: { upstreamIdle: '100ms' }, log: { level: 'silent' } },
    { connections: 50 },
  )
  const agent = new Agent({ keepAlive: true })
  const before = handles()
  const seen = await mixture(sidecar, agent, 2_000)
  agent.destroy()
  await settled(sidecar)
  const after = await handlesAtMost(before + 5)
  for (const outcome of ['ok 200', 'busy 429', 'stream 200', 'silent 200', 'hangup 502', 'nonsense 502', 'hang 504', 'busy no answer'])
    assert.ok(seen.has(outcome), `no call ended as ${outcome}: ${[...seen].join(', ')}`)
  assert.ok(after <= before + 5, `${before} handles before, ${after} after`)
  assert.ok(upstream.open <= 1, `${upstream.open} connections are open at the upstream`)
})
