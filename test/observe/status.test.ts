import assert from 'node:assert/strict'
import { test } from 'node:test'
import { status } from '../../sidecar/observe/status.ts'
import { answers, provider } from '../fixtures/provider.ts'
import { startChecks, type Checks } from '../fixtures/startChecks.ts'

function saidOf({ target, clock }: Checks): string {
  const upstreams = [{ ...target, connections: target.pool.stats }]
  const { health } = status({
    now: clock.now,
    beganMs: 0,
    calls: () => ({ inFlight: 0, seen: 0, closed: false }),
    upstreams,
    canaries: () => [],
  })
  return (health().json as { status: string }).status
}

test('an upstream whose calls all failed is unhealthy until a check finds it back: then it is only to be looked at', async (t) => {
  const upstream = await provider(t, [answers(503), answers(200, { data: [] })])
  const checks = await startChecks(t, upstream.url)
  for (let n = 0; n < 5; n++) checks.target.condition.note('failed', 'status 503', checks.clock.now())
  assert.equal(saidOf(checks), 'unhealthy')
  await checks.round()
  assert.equal(saidOf(checks), 'unhealthy')
  await checks.round()
  assert.equal(saidOf(checks), 'degraded')
  checks.clock.pass(1)
  checks.target.condition.note('failed', 'status 503', checks.clock.now())
  assert.equal(saidOf(checks), 'unhealthy', 'what came last counts')
})
