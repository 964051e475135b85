import assert from 'node:assert/strict'
import { test } from 'node:test'
import { costs } from '../../sidecar/observe/cost.ts'
import type { Usage } from '../../sidecar/proxy/llm/usage.ts'
import { aCall } from '../fixtures/calls.ts'

const told: Usage = { model: 'big-2026', input: 1_000, output: 100, cached: -1, reasoning: -1 }
const models = [
  { name: 'big', price: { input: 2.5, output: 10, cached: 0.5 } },
  { name: 'flat', price: { input: 1, output: 1 } },
  { name: 'free' },
]
const costOf = (model: string, usage: Partial<Usage> = {}): number | undefined =>
  costs(models)?.(aCall({ facts: { model, usage: { ...told, ...usage } } }).facts)

test('a call costs what its model is priced at, what came out of a cache at the price of that', () => {
  assert.equal(costOf('big'), 0.0035)
  assert.equal(costOf('big', { cached: 400 }), 0.0027)
  assert.equal(costOf('flat', { cached: 400 }), 0.0011)
  assert.equal(costOf('any', { model: 'big' }), 0.0035, 'by the model that served it, where the one asked for has no price')
})

test('without a price, or tokens, nobody says what a call cost', () => {
  assert.equal(costOf('free'), undefined)
  assert.equal(costOf('big', { output: -1 }), undefined)
  assert.equal(costs(models)?.(aCall({ facts: { model: 'big' } }).facts), undefined)
  assert.equal(costs(undefined), undefined)
  assert.equal(costs([{ name: 'free' }]), undefined)
})
