import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, hangUp } from '../fixtures/provider.ts'
import type { Step } from '../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

// When an upstream crashes, all calls that it was working on fail at once. Those for whose repeats there was no room failed, though there
// would have been a moment later.
test('a repeat for which too many are running waits for its turn, and no more run than are allowed', async (t) => {
  let running = 0
  let most = 0
  const counted: Step = async (exchange) => {
    running++
    most = Math.max(most, running)
    // As long as others would have come.
    await new Promise((done) => setImmediate(() => setImmediate(() => setImmediate(done))))
    running--
    await chat('b')(exchange)
  }
  const { sidecar, providers } = await startUpstreams(t, [hangUp(), counted], {
    retry: { attempts: 3, throttledBackoff: '5ms', budget: { concurrent: 0, leastConcurrent: 1 } },
    health: { failures: 100, minimumCalls: 100 },
  })
  const told = await Promise.all(Array.from({ length: 5 }, () => ask(sidecar)))
  assert.deepEqual(
    told.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  )
  assert.equal(most, 1)
  assert.deepEqual(askedOf(providers), [5, 5])
})

test('a repeat that cannot have its turn in time is told why', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(500), chat('b')], {
    retry: { attempts: 3, longestWait: '0s', budget: { concurrent: 0, leastConcurrent: 0 } },
  })
  const told = await ask(sidecar)
  assert.equal(told.status, 500)
  assert.equal((await sidecar.callLine(0))['attempts'], 1)
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /outrider_retries_refused_total\{.*concurrency.*\} 1/)
})
