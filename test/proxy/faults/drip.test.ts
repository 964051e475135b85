import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { good, isGood, triedOf } from '../../fixtures/failing.ts'
import type { Fields, Step } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'
import { chatText, doneText } from '../../fixtures/streams.ts'
import { unresumed } from '../../fixtures/unresumed.ts'

/** Sends `first` and then one piece every 15 ms, for as long as the client stays. */
const drips =
  (first: string, piece: string, headers: Fields = { 'content-type': 'text/event-stream' }): Step =>
  async ({ body, res, seen }) => {
    await body
    res.writeHead(200, headers)
    res.write(first)
    const drip = setInterval(() => res.write(piece), 15)
    await seen.closed
    clearInterval(drip)
  }

suite('drip by drip', { concurrency: true }, () => {
  for (const [what, first, piece] of [
    ['comments', '', ': queued\n\n'],
    ['pings', '', 'event: ping\ndata: {"type":"ping"}\n\n'],
    ['bytes of an event that is never whole', 'data: {"text":"', 'x'],
  ] as const) {
    test(`${what} are no first event: another upstream takes over`, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [drips(first, piece), good], { timeouts: { firstEvent: '400ms' } })
      isGood(await ask(sidecar, { stream: true }), true)
      assert.deepEqual(askedOf(providers), [1, 1])
      assert.deepEqual(await triedOf(sidecar), [
        ['a', 'first_event_timeout'],
        ['b', 200],
      ])
    })
    test(`${what} keep no stream alive: it ends with an error inside of it`, async (t) => {
      const begun = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
      const document = { ...unresumed, timeouts: { idle: '400ms' } }
      const { sidecar, providers } = await startUpstreams(t, [drips(begun + first, piece), []], document)
      const { text } = await ask(sidecar, { stream: true })
      assert.ok(text.startsWith(begun), text)
      assert.match(text, /event: error\ndata: .*"kind":"idle_timeout"/)
      assert.doesNotMatch(text, /"text":"x/)
      assert.deepEqual(askedOf(providers), [1, 0])
    })
  }

  test('whole events, however slowly they come, are a stream that is alive', async (t) => {
    const events = [...chatText(['a', 'b', 'c', 'd', 'e', 'f']), doneText]
    const slow: Step = async ({ body, res }) => {
      await body
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const event of events) {
        for (const part of [event.slice(0, 10), event.slice(10)]) {
          res.write(part)
          await new Promise((done) => setTimeout(done, 40))
        }
      }
      res.end()
    }
    const { sidecar } = await startUpstreams(t, [slow, []], { timeouts: { firstEvent: '2s', idle: '2s' } })
    assert.equal((await ask(sidecar, { stream: true })).text, events.join(''))
  })

  test('an answer that is no stream and never ends is ended by the time of the whole call, and nobody has time to begin anew', async (t) => {
    const json = { 'content-type': 'application/json' }
    const { sidecar, providers } = await startUpstreams(t, [drips('{"text":"', 'x', json), []], { timeouts: { total: '400ms' } })
    const told = await ask(sidecar)
    assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [504, 'total_timeout'])
    assert.deepEqual(askedOf(providers), [1, 0])
  })
})
