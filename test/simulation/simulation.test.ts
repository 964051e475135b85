import assert from 'node:assert/strict'
import { test } from 'node:test'
import { report } from './report.ts'
import { simulate } from './run.ts'
import type { Scenario } from './scenario.ts'
import { allDown, calm, daily, others } from './scenarios.ts'

async function reached(scenario: Scenario): Promise<void> {
  const figures = await simulate(scenario)
  const verdicts = scenario.goals.map((goal) => goal(figures))
  assert.ok(
    verdicts.every(({ met }) => met),
    report(scenario, figures, verdicts),
  )
}

// The hour in which two are down together weighs ten times as much here as in a million calls, of which 99.99 % have to be answered.
for (const seed of [1, 2]) {
  test(`through limits and outages nearly all calls are answered, with hardly more attempts (seed ${seed})`, () =>
    reached(daily({ seed, calls: 100_000, least: 0.9998 })))
}

for (const how of ['refused', 'busy', 'unreachable'] as const) {
  test(`when all are down (${how}) a call costs hardly more than one attempt, and recovery is seen soon`, () =>
    reached(allDown({ seed: 1, how })))
}

test('upstreams that are well share the calls, without a swing', () => reached(calm({ seed: 1, calls: 36_000 })))

for (const scenario of others(1)) test(scenario.name, () => reached(scenario))

test('a run is the same each time', async () => {
  const scenario = daily({ seed: 3, calls: 5_000 })
  assert.deepEqual(await simulate(scenario), await simulate(scenario))
  assert.notDeepEqual(await simulate(scenario), await simulate({ ...scenario, seed: 4 }))
})

test('without what is simulated here the goals are missed', async () => {
  const alone = { ...daily({ seed: 1, calls: 36_000 }), document: { retry: { attempts: 1 } } }
  const figures = await simulate(alone)
  const [answered, attempts] = alone.goals.map((goal) => goal(figures))
  assert.deepEqual([answered?.met, attempts?.met], [false, true])
  // Each call that fails by chance is lost, and more.
  assert.ok(figures.answered < 0.977 * figures.calls)
})
