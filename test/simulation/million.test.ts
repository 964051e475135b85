import assert from 'node:assert/strict'
import { test } from 'node:test'
import { report } from './report.ts'
import { simulate } from './run.ts'
import { daily } from './scenarios.ts'

// By itself, for it takes half a minute: the shorter days beside it cannot show so small a share.
test('of a million calls through limits and outages 99.99 % are answered', async () => {
  const day = daily({ seed: 1, calls: 1_000_000 })
  const figures = await simulate(day)
  const verdicts = day.goals.map((goal) => goal(figures))
  assert.ok(
    verdicts.every(({ met }) => met),
    report(day, figures, verdicts),
  )
})
