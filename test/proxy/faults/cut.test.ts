import assert from 'node:assert/strict'
import { suite, test, type TestContext } from 'node:test'
import { good, healthOf, isGood, metric, triedOf } from '../../fixtures/failing.ts'
import { cutAfter, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'
import { chatText } from '../../fixtures/streams.ts'
import { unresumed } from '../../fixtures/unresumed.ts'

const events = chatText(['Ein ', 'Wört', 'chen 😀'])

/** Sends these bytes and resets the connection, or ends the answer as if that were all. */
const breaksAfter =
  (bytes: string | Buffer, how: 'a reset' | 'an end'): Step =>
  async ({ body, res, reset }) => {
    await body
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(bytes, () => setImmediate(() => (how === 'a reset' ? reset() : res.end())))
  }

/** The client got whole events and one error behind them, and nobody else was asked. */
async function endsInBand(t: TestContext, fault: Step, whole: string): Promise<void> {
  const { sidecar, providers } = await startUpstreams(t, [fault, []], unresumed)
  const { status, text } = await ask(sidecar, { stream: true })
  assert.equal(status, 200)
  assert.equal(text.slice(0, whole.length), whole)
  const [, json = ''] = /^event: error\ndata: (\{.*\})\n\n$/.exec(text.slice(whole.length)) ?? []
  assert.notEqual(json, '', text)
  const { code, outrider } = JSON.parse(json) as { code: string; outrider: Record<string, unknown> }
  assert.equal(code, 'stream_interrupted')
  const { kind, fault: whose, upstream, attempts } = outrider
  assert.deepEqual({ kind, whose, upstream, attempts }, { kind: 'reply_cut', whose: 'upstream', upstream: 'a', attempts: 1 })
  assert.deepEqual(askedOf(providers), [1, 0])

  const { attempts: made, status: told, error, end } = await sidecar.callLine(0)
  assert.deepEqual([made, told, error, end], [1, 200, 'reply_cut', 'cut'])
  assert.deepEqual(await triedOf(sidecar), [['a', 200]])
  assert.equal(await metric(sidecar, 'outrider_errors_total{kind="reply_cut",fault="upstream"}'), 1)
  const [a] = await healthOf(sidecar)
  assert.deepEqual([a?.failures_in_a_row, a?.last_failure?.what], [1, 'reply_cut'])
}

for (const how of ['a reset', 'an end'] as const) {
  suite(`a stream that is broken off by ${how}`, { concurrency: true }, () => {
    test('in front of its first event is begun anew elsewhere', async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [breaksAfter(': queued\n\n', how), good])
      isGood(await ask(sidecar, { stream: true }), true)
      assert.deepEqual(askedOf(providers), [1, 1])
      assert.deepEqual(await triedOf(sidecar), [
        ['a', 'reply_cut'],
        ['b', 200],
      ])
    })
    test('in the middle of its first event is begun anew elsewhere', async (t) => {
      for (const bytes of ['d', 'data: {"choi', events[0]?.slice(0, -2) ?? '']) {
        // An event that only its blank line is missing of is whole, and one that says nothing of an end is no whole stream.
        const { sidecar, providers } = await startUpstreams(t, [breaksAfter(bytes, how), good])
        isGood(await ask(sidecar, { stream: true }), true)
        assert.deepEqual(askedOf(providers), [1, 1])
      }
    })
    for (let n = 1; n < events.length; n++) {
      const whole = events.slice(0, n).join('')
      test(`behind event ${n} ends with an error`, (t) => endsInBand(t, breaksAfter(whole, how), whole))
      const next = Buffer.from(events[n] ?? '')
      for (const bytes of [1, 8, Math.floor(next.length / 2), next.length - 3]) {
        test(`${bytes} bytes behind event ${n} ends with an error, and none of these bytes`, (t) =>
          endsInBand(t, breaksAfter(Buffer.concat([Buffer.from(whole), next.subarray(0, bytes)]), how), whole))
      }
    }
  })
}

test('streams that break off behind their first event take their upstream out all the same', async (t) => {
  const { sidecar } = await startUpstreams(t, [cutAfter({ choices: [{ delta: { content: 'half' } }] }), good], unresumed)
  for (let n = 0; n < 5; n++) await ask(sidecar, { stream: true })
  await sidecar.logged('upstream a is ejected')
  assert.deepEqual(served(await ask(sidecar, { stream: true })), ['b', '1'])
})
