import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseConfig } from '../../sidecar/config/config.ts'
import { refusalOf, withSettings } from './refusal.ts'

const warningsOf = async (settings: Readonly<Record<string, unknown>>): Promise<readonly string[]> =>
  (await parseConfig(withSettings(settings), 'x')).warnings

test('a bound that is shorter than what it bounds is refused, where both are written', async () => {
  const limited = { guess: '30s', longestGuess: '20s', overload: '10s', longestOverload: '5s' }
  const health = { ejection: '10m', longestEjection: '5m', exhausted: '2h', longestExhausted: '1h', limited }
  const retry = { backoff: '3s', throttledBackoff: '4s', longestBackoff: '2s' }
  assert.deepEqual(
    new Set(await refusalOf(withSettings({ health, retry }))),
    new Set([
      'retry.longestBackoff: is shorter than backoff, which is 3s',
      'retry.longestBackoff: is shorter than throttledBackoff, which is 4s',
      'health.longestEjection: is shorter than ejection, which is 10m',
      'health.longestExhausted: is shorter than exhausted, which is 2h',
      'health.limited.longestGuess: is shorter than guess, which is 30s',
      'health.limited.longestOverload: is shorter than overload, which is 10s',
    ]),
  )
})

test('so it is where one of the two is the default', async () => {
  assert.deepEqual(await refusalOf(withSettings({ health: { longestEjection: '5s' } })), [
    'health.longestEjection: is shorter than ejection, which is 10s unless it is set too',
  ])
  assert.deepEqual(await refusalOf(withSettings({ health: { limited: { guess: '1m' } } })), [
    'health.limited.guess: is longer than longestGuess, which is 10s unless it is set too',
  ])
})

test('a bound may be what it bounds: then nothing doubles', async () => {
  const limited = { guess: '3s', longestGuess: '3s', overload: '0s', longestOverload: '0s' }
  const health = { ejection: '1m', longestEjection: '1m', exhausted: '1h', longestExhausted: '1h', limited }
  assert.deepEqual(await warningsOf({ health, retry: { backoff: '8s', throttledBackoff: '8s' } }), [])
})

test('of two that do not fit nothing more is said where one is no duration', async () => {
  assert.deepEqual(await refusalOf(withSettings({ health: { ejection: 600, longestEjection: '5s' } })), [
    'health.ejection: must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h, not 600',
  ])
})

test('probation as short as a connection may take is warned of, whichever of both is written', async () => {
  const others = 'while the first call at a host that is gone still tries to connect, others follow it'
  assert.deepEqual(await warningsOf({ health: { probation: '10s' } }), [
    `x health.probation: is not longer than timeouts.connect, which is 10s unless it is set too: ${others}`,
  ])
  assert.deepEqual(await warningsOf({ timeouts: { connect: '15s' } }), [
    `x timeouts.connect: is not shorter than health.probation, which is 12s unless it is set too: ${others}`,
  ])
  assert.deepEqual(await warningsOf({ timeouts: { connect: '15s' }, health: { probation: '16s' } }), [])
})

test('calls so short that none is ever tried again are warned of', async () => {
  assert.deepEqual(await warningsOf({ timeouts: { total: '2s' } }), [
    'x timeouts.total: is not longer than retry.leastLeft, which is 2s unless it is set too: nothing is tried again',
  ])
  assert.deepEqual(await warningsOf({ retry: { leastLeft: '1h' }, timeouts: { total: '2h' } }), [
    'x retry.leastLeft: is not shorter than timeouts.streamTotal, which is 1h unless it is set too: nothing is tried again',
  ])
  assert.deepEqual(await warningsOf({ timeouts: { total: '2s' }, retry: { leastLeft: '500ms' } }), [])
})

test('more attempts for a call that its client repeats than for others are warned of', async () => {
  assert.deepEqual(await warningsOf({ retry: { attemptsIfRepeated: 4 } }), [
    'x retry.attemptsIfRepeated: is more than attempts: 3 is what counts',
  ])
  assert.deepEqual(await warningsOf({ retry: { attempts: 4, attemptsIfRepeated: 4 } }), [])
  assert.deepEqual(await warningsOf({ retry: { attempts: 1 } }), [])
})

test('what is out of bounds by itself is told with what would be right', async () => {
  const retry = { attemptsIfRepeated: 0, spread: 1.5, leastLeft: '2 s', budget: { rateWindow: '100ms', tokensWindow: 5, unanswered: 0.5 } }
  const health = { ejectionJitter: -1, forgetEjection: '0s', probation: '0s', slowStartShare: 0, limited: { longestHint: '0s', turn: 'x' } }
  assert.deepEqual(await refusalOf(withSettings({ retry, health })), [
    'retry.attemptsIfRepeated: must be a whole number from 1 to 10, without quotes, not 0',
    'retry.spread: must be a number from 0 to 1, such as 0.1, without quotes, not 1.5',
    'retry.leastLeft: must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h, not "2 s"',
    'retry.budget.rateWindow: must be at least 1s, not "100ms"',
    'retry.budget.tokensWindow: must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h, not 5',
    'retry.budget.unanswered: must be a whole number from 1 to 100, without quotes, not 0.5',
    'health.ejectionJitter: must be a number from 0 to 1, such as 0.1, without quotes, not -1',
    'health.forgetEjection: must be at least 1ms, not "0s"',
    'health.probation: must be at least 1ms, not "0s"',
    'health.slowStartShare: must be a number from 0.01 to 1, such as 0.1, without quotes, not 0',
    'health.limited.longestHint: must be at least 1ms, not "0s"',
    'health.limited.turn: must be a duration, one whole number with its unit, such as 500ms, 60s, 5m or 1h, not "x"',
  ])
})
