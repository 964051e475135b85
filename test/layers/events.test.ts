import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { test } from 'node:test'
import type { Call, Handler, Reply, Sink, Tap } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { events, type EventsOptions } from '../../sidecar/proxy/layers/events.ts'
import { cancel, finish, onCancel } from '../../sidecar/proxy/life.ts'
import { aCall, aReply, aSink, script, type ScriptedReply } from '../fixtures/calls.ts'
import { handClock, type HandClock } from '../fixtures/handClock.ts'

const eventStream = { 'content-type': 'text/event-stream' }
const first = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
const done = 'data: [DONE]\n\n'
const beat = ': still here\n\n'

interface Stage {
  readonly clock: HandClock
  readonly run: Handler
  readonly observed: number[]
}

function stage(next: Handler, options: Partial<EventsOptions> = {}): Stage {
  const clock = handClock()
  const observed: number[] = []
  const layer = events({
    clock,
    patience: { current: () => 20_000, took: (_model, _stream, ms) => observed.push(ms), gaveUp: () => {}, usualMs: () => undefined },
    idleMs: 30_000,
    heartbeatMs: 5_000,
    longestEventBytes: 1_024,
    leastRate: 0,
    malformed: 'pass',
    ...options,
  })
  return { clock, run: layer(next), observed }
}

const streaming = (call: Partial<Omit<Call, 'facts'>> = {}): Call => aCall({ ...call, facts: { stream: true, sentMs: 1_000 } })

/** A stream with its first event on the way to a sink. */
async function begun(
  options: Partial<EventsOptions> = {},
): Promise<Stage & { upstream: ScriptedReply; sink: ReturnType<typeof aSink>; tap: Tap }> {
  const upstream = aReply(200, { ...eventStream })
  const made = stage(script(upstream), options)
  const pending = made.run(streaming())
  await setImmediate()
  upstream.push(first)
  const reply = await pending
  const sink = aSink()
  return { ...made, upstream, sink, tap: reply.flow(sink) }
}

const isKind = (kind: string) => (err: unknown) => err instanceof SidecarError && err.kind === kind

test('what is no stream passes as it is, and no alarm is left', async () => {
  for (const reply of [aReply(200), aReply(429, eventStream), aReply(200, { ...eventStream, 'content-encoding': 'gzip' })]) {
    const { run, clock } = stage(script(reply))
    assert.equal(await run(streaming()), reply)
    assert.equal(clock.pending(), 0)
  }
})

test('the reply comes with the first event and not before, and the wait is observed', async () => {
  const upstream = aReply(200, { ...eventStream, 'content-length': '999' })
  const { run, clock, observed } = stage(script(upstream))
  let given: Reply | undefined
  const call = aCall({ facts: { stream: false, sentMs: 1_000 } })
  const pending = run(call).then((reply) => (given = reply))
  await setImmediate()
  upstream.push(': queued\n\nevent: ping\ndata: {}\n\n\n')
  clock.pass(1_000)
  await setImmediate()
  assert.equal(given, undefined)
  upstream.push(first)
  const reply = await pending
  assert.equal(reply.headers['x-accel-buffering'], 'no')
  assert.equal(reply.headers['content-length'], undefined)
  assert.equal(call.facts.stream, true)
  assert.deepEqual(observed, [1_000])
  const sink = aSink()
  reply.flow(sink)
  assert.equal(sink.text(), `: queued\n\nevent: ping\ndata: {}\n\n\n${first}`)
  upstream.push(done)
  upstream.finish()
  assert.equal(sink.ended(), true)
  assert.equal(clock.pending(), 0)
})

test('no head within the wait for the first event cancels the attempt, and the attempt alone', async () => {
  let attempt: Call | undefined
  const never: Handler = (call) => {
    attempt = call
    return new Promise((_give, refuse) => {
      onCancel(call.life, refuse)
    })
  }
  const { run, clock } = stage(never)
  const call = streaming()
  const pending = run(call)
  clock.pass(20_100)
  await assert.rejects(pending, isKind('first_event_timeout'))
  assert.equal(attempt?.life.cancelled?.kind, 'first_event_timeout')
  assert.equal(call.life.cancelled, undefined)
  assert.equal(clock.pending(), 0)
})

test('the wait for the first event begins when the request is wholly sent', async () => {
  const never: Handler = (call) =>
    new Promise((_give, refuse) => {
      onCancel(call.life, refuse)
    })
  const { run, clock } = stage(never)
  const call = aCall({ facts: { stream: true } })
  let failed = false
  const pending = run(call).catch(() => {
    failed = true
  })
  clock.pass(25_000)
  call.facts.sentMs = clock.now()
  clock.pass(19_000)
  await setImmediate()
  assert.equal(failed, false)
  clock.pass(1_500)
  await pending
  assert.equal(failed, true)
})

test("a client's own patience shortens the waits", async () => {
  const upstream = aReply(200, eventStream)
  const { run, clock } = stage(script(upstream), { heartbeatMs: 0 })
  const pending = run(
    streaming({ wishes: { contentType: '', key: undefined, timeoutMs: 0, readTimeoutMs: 2_000, retries: 0, upstream: '', model: '' } }),
  )
  pending.catch(() => {})
  await setImmediate()
  clock.pass(2_100)
  await assert.rejects(pending, isKind('first_event_timeout'))
  assert.equal(upstream.closedWith()?.kind, 'first_event_timeout')
})

test('a failure or an end before the first event is thrown', async () => {
  for (const finishing of [
    (reply: ScriptedReply) => reply.finish(),
    (reply: ScriptedReply) => reply.breakOff(new SidecarError('reply_cut', 'gone')),
  ]) {
    const upstream = aReply(200, eventStream)
    const { run, clock } = stage(script(upstream))
    const pending = run(streaming())
    await setImmediate()
    upstream.push(': queued\n\ndata: half')
    finishing(upstream)
    await assert.rejects(pending, isKind('reply_cut'))
    assert.equal(clock.pending(), 0)
  }
})

test('after the silence of a heartbeat the head goes, with a sign of life; the wait for the first event goes on', async () => {
  const upstream = aReply(200, eventStream)
  const { run, clock } = stage(script(upstream))
  const pending = run(streaming())
  await setImmediate()
  clock.pass(5_100)
  const sink = aSink()
  const reply = await pending
  reply.flow(sink)
  assert.equal(sink.text(), beat)
  clock.pass(5_100)
  assert.equal(sink.text(), beat + beat)
  clock.pass(10_000)
  assert.equal(sink.failure()?.kind, 'first_event_timeout')
  assert.equal(clock.pending(), 0)
})

test('silence ends a stream that has begun; comments and pings are silence, events are not', async () => {
  const { clock, upstream, sink } = await begun({ heartbeatMs: 0 })
  clock.pass(29_000)
  upstream.push(first)
  for (let n = 0; n < 29; n++) {
    clock.pass(1_000)
    upstream.push(': queued\n\nevent: ping\ndata: {}\n\n')
  }
  assert.equal(sink.failure(), undefined)
  clock.pass(1_100)
  assert.equal(sink.failure()?.kind, 'idle_timeout')
  assert.equal(clock.pending(), 0)
})

test('while the client does not read there is neither silence nor heartbeat', async () => {
  const { clock, sink, tap } = await begun()
  tap.pause()
  clock.pass(100_000)
  assert.equal(sink.text(), first)
  assert.equal(sink.failure(), undefined)
  tap.resume()
  clock.pass(5_100)
  assert.equal(sink.text(), first + beat)
  clock.pass(25_100)
  assert.equal(sink.failure()?.kind, 'idle_timeout')
})

test('a heartbeat that fills the way to the client makes the upstream wait', async () => {
  const upstream = aReply(200, eventStream)
  const { run, clock } = stage(script(upstream))
  const pending = run(streaming())
  await setImmediate()
  upstream.push(first)
  const full: Sink = { data: (bytes) => bytes.toString() !== beat, end: () => {}, fail: () => {} }
  const tap = (await pending).flow(full)
  assert.equal(upstream.paused(), false)
  clock.pass(5_100)
  assert.equal(upstream.paused(), true)
  tap.resume()
  assert.equal(upstream.paused(), false)
})

test('what the reader says about pausing reaches the upstream', async () => {
  const upstream = aReply(200, eventStream)
  const { run } = stage(script(upstream))
  const pending = run(streaming())
  await setImmediate()
  upstream.push(first)
  let go = false
  const sink: Sink = { data: () => go, end: () => {}, fail: () => {} }
  const reply = await pending
  reply.flow(sink)
  assert.equal(upstream.paused(), true, 'what had waited was already too much')
  assert.equal(upstream.push(first), false)
  go = true
  assert.equal(upstream.push(first), true)
})

test('a stream whose marker has come is ended a second later, and the upstream is let go', async () => {
  const { clock, upstream, sink } = await begun()
  upstream.push(done)
  clock.pass(500)
  assert.equal(sink.ended(), false)
  clock.pass(700)
  assert.equal(sink.ended(), true)
  assert.equal(sink.failure(), undefined)
  assert.notEqual(upstream.closedWith(), undefined)
  assert.equal(clock.pending(), 0)
})

test('an error inside an event that passes in parts begins on a line of its own', async () => {
  const { upstream, sink } = await begun()
  upstream.push(`data: ${'x'.repeat(2_000)}`)
  upstream.breakOff(new SidecarError('reply_cut', 'gone'))
  assert.ok(sink.text().endsWith('xx\n\n'))
  assert.equal(sink.failure()?.kind, 'reply_cut')
})

test('a cancelled call cancels the attempt, and one that is dropped leaves no alarm behind', async () => {
  let attempt: Call | undefined
  const upstream = aReply(200, eventStream)
  const { run, clock } = stage((call) => {
    attempt = call
    return Promise.resolve(upstream)
  })
  const call = streaming()
  const pending = run(call)
  await setImmediate()
  clock.pass(5_100)
  const reply = await pending
  cancel(call.life, new SidecarError('client_gone', 'closed'))
  assert.equal(attempt?.life.cancelled?.kind, 'client_gone')
  reply.drop()
  finish(call.life, undefined)
  assert.notEqual(upstream.closedWith(), undefined)
  assert.equal(clock.pending(), 0)
})
