import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call, Handler } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { choose } from '../../sidecar/proxy/layers/choose.ts'
import { events } from '../../sidecar/proxy/layers/events.ts'
import { retry } from '../../sidecar/proxy/layers/retry.ts'
import { route } from '../../sidecar/proxy/layers/route.ts'
import { cancel, finish, onCancel } from '../../sidecar/proxy/life.ts'
import type { Candidate } from '../../sidecar/proxy/upstream/candidate.ts'
import { adaptivePatience } from '../../sidecar/proxy/upstream/patience.ts'
import type { Route } from '../../sidecar/proxy/upstream/route.ts'
import { openHost, openStanding } from '../../sidecar/proxy/upstream/standing.ts'
import { roundRobin } from '../../sidecar/proxy/upstream/strategies/roundRobin.ts'
import { aCall } from '../fixtures/calls.ts'
import { handClock } from '../fixtures/handClock.ts'
import { usualBudget, usualHealth } from '../fixtures/usual.ts'

/** Upstreams that take a call and never answer, and that are known to answer within 50 ms; by the clock of the test. */
function silentUpstreams(names: readonly string[]) {
  const clock = handClock()
  const asked: { readonly name: string; readonly atMs: number }[] = []
  const candidates = names.map((upstream, at): Candidate => {
    const options = { upstream, numbers: usualHealth, random: () => 0.5, changed: () => {} }
    const standing = openStanding(openHost(options), '', () => undefined, options)
    return {
      upstream,
      credential: '',
      told: '',
      account: upstream,
      tier: at + 1,
      weight: 1,
      connections: 100,
      continues: 'off',
      serves: () => true,
      standing,
    }
  })
  const silence =
    (name: string): Handler =>
    ({ facts, life }) =>
      new Promise((_give, refuse) => {
        asked.push({ name, atMs: clock.now() })
        facts.attempts++
        facts.connectedMs = clock.now()
        facts.sentMs = clock.now()
        onCancel(life, refuse)
      })
  const wayTo = (name: string): Handler => {
    const patience = adaptivePatience()
    for (let n = 0; n < 60; n++) patience.observe(50)
    return events({ clock, patience, idleMs: 60_000, heartbeatMs: 0, longestEventBytes: 1_024, leastRate: 0, malformed: 'pass' })(
      silence(name),
    )
  }
  const whole: Route = {
    name: 'default',
    serves: () => true,
    tiers: candidates.map((one) => [one]),
    alone: candidates.length === 1,
    mostEjected: 0.5,
    strategy: roundRobin(),
    affinity: [],
    affinityLoad: 1.25,
    budget: usualBudget(),
    onTrial: undefined,
    split: undefined,
    resume: 'error',
    fallbacks: [],
  }
  const waits = {
    backoffMs: 1,
    throttledBackoffMs: 1,
    longestBackoffMs: 1,
    longestWaitMs: 10_000,
    waitBeforeFallbackMs: 2,
    spread: 0.25,
    leastLeftMs: 2_000,
  }
  const bounds = { totalMs: 600_000, streamTotalMs: 3_600_000 }
  const trying = retry({ clock, random: () => 0.5, ...waits, ...bounds, refused: () => {} })
  const routing = route({
    routes: [whole],
    defaultModel: undefined,
    aliases: {},
    priority: undefined,
    upstreams: names,
    mayAskUpstream: () => false,
    mayAskModel: () => false,
    attempts: 3,
    attemptsIfRepeated: 2,
  })
  const handle = routing(trying(choose({ clock, epochMs: Date.now, ways: new Map(candidates.map((one) => [one, wayTo(one.upstream)])) })))
  /** Lets time pass until the call is over, and tells how it failed and when who was asked. */
  const play = async (call: Call): Promise<{ kind: string; afterMs: number; asked: readonly (readonly [string, number])[] }> => {
    const beganMs = clock.now()
    let failure: unknown
    let afterMs = 0
    const over = handle(call).catch((err: unknown) => {
      failure = err
      afterMs = clock.now() - beganMs
    })
    for (let step = 0; step < 2_000 && failure === undefined; step++) {
      clock.pass(100)
      // What has rung is taken up in turns of its own.
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    }
    await over
    finish(call.life, undefined)
    assert.ok(failure instanceof SidecarError)
    return { kind: failure.kind, afterMs, asked: asked.map(({ name, atMs }) => [name, Math.round((atMs - beganMs) / 1_000)]) }
  }
  return { clock, play }
}

const streaming = (now: number): Call => aCall({ facts: { stream: true, attempts: 0, beganMs: now, operation: 'chat', model: 'm' } })

test('upstreams that are known to be fast are given up after 15 s, and the last one, whom nobody could replace, after a minute', async () => {
  const { clock, play } = silentUpstreams(['a', 'b', 'c'])
  const { kind, afterMs, asked } = await play(streaming(clock.now()))
  assert.equal(kind, 'first_event_timeout')
  assert.deepEqual(asked, [
    ['a', 0],
    ['b', 15],
    ['c', 30],
  ])
  assert.ok(afterMs >= 90_000 && afterMs < 92_000, `${afterMs}`)
})

test('who is alone is the last', async () => {
  const { clock, play } = silentUpstreams(['a'])
  const { afterMs, asked } = await play(streaming(clock.now()))
  assert.equal(asked.length, 1)
  assert.ok(afterMs >= 60_000 && afterMs < 61_000, `${afterMs}`)
})

test('the last attempt that is allowed is the last, whoever else there is', async () => {
  const { clock, play } = silentUpstreams(['a', 'b', 'c', 'd'])
  const { afterMs, asked } = await play(streaming(clock.now()))
  assert.deepEqual(
    asked.map(([name]) => name),
    ['a', 'b', 'c'],
  )
  assert.ok(afterMs >= 90_000 && afterMs < 92_000, `${afterMs}`)
})

test('a client that leaves ends the wait at once', async () => {
  const { clock, play } = silentUpstreams(['a', 'b'])
  const call = streaming(clock.now())
  clock.set(20_000, () => {
    cancel(call.life, new SidecarError('client_gone', 'the client has gone'))
  })
  const { kind, asked } = await play(call)
  assert.equal(kind, 'client_gone')
  assert.deepEqual(asked, [
    ['a', 0],
    ['b', 15],
  ])
})
