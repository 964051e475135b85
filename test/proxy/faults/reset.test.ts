import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails, good, isGood, metric, triedOf } from '../../fixtures/failing.ts'
import { answers, cutAfter, garbage, hangUp, paced, tooShort, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'
import { openStream } from '../../fixtures/streamClient.ts'

const resets: Step = async ({ body, reset }) => {
  await body
  reset()
}

/** The head of an answer, these bytes of its body, and a reset. */
const resetBehind =
  (bytes: string): Step =>
  async ({ body, res, reset }) => {
    await body
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    res.flushHeaders()
    setImmediate(() => (bytes === '' ? reset() : res.write(bytes, () => setImmediate(reset))))
  }

fails('a reset before the head of the answer', { step: resets, outcome: 'no_reply', attempts: 3, kind: 'no_reply' })
fails('a connection that is closed before the head', { step: hangUp(), outcome: 'no_reply', attempts: 3, kind: 'no_reply' })
fails('a reset behind the head', { step: resetBehind(''), outcome: 'reply_cut', attempts: 1, kind: 'reply_cut', breaks: true })
fails('a reset in the middle of the body', {
  step: resetBehind('{"half":'),
  outcome: 'reply_cut',
  attempts: 1,
  kind: 'reply_cut',
  breaks: true,
})
fails('a body shorter than was said', { step: tooShort(), outcome: 'reply_cut', attempts: 1, kind: 'reply_cut', breaks: true })
fails('what is no HTTP', { step: garbage(), outcome: 'bad_reply', attempts: 3, kind: 'bad_reply' })
fails('a stream that is reset before its first event', {
  step: cutAfter(),
  stream: true,
  outcome: 'reply_cut',
  attempts: 3,
  kind: 'reply_cut',
})

test('an answer that is longer than anybody holds breaks off where it does, and nobody else is asked', async (t) => {
  const answer = paced({ 'content-type': 'application/json', 'content-length': '1000000' })
  const { sidecar, providers } = await startUpstreams(t, [answer, []])
  const opened = openStream(t, sidecar.port, { body: '{"model":"m"}' })
  await answer.sendBytes(`{"text":"${'x'.repeat(400_000)}`)
  const client = await opened
  await answer.cut()
  await assert.rejects(client.whole)
  assert.deepEqual(askedOf(providers), [1, 0])
  const { attempts, status, error, end } = await sidecar.callLine(0)
  assert.deepEqual([attempts, status, error, end], [1, 200, 'reply_cut', 'cut'])
  assert.equal(await metric(sidecar, 'outrider_attempts_total{upstream="b"}'), 0)
})

test('an answer that is whole is passed on whole, though it was held for a while', async (t) => {
  const long = { text: 'é'.repeat(400_000) }
  const { sidecar } = await startUpstreams(t, [answers(200, long), []])
  assert.equal((await ask(sidecar)).text, JSON.stringify(long))
})

// A call that had failed before it was written used to count as one that may have been worked on.
test('a kept connection that has died is replaced, and neither counted nor held against its upstream', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [
    async (exchange) => {
      await good(exchange)
      exchange.res.once('finish', () => setImmediate(() => exchange.socket.destroy()))
    },
    [],
  ])
  for (let n = 0; n < 4; n++) isGood(await ask(sidecar))
  assert.deepEqual(askedOf(providers), [4, 0])
  for (let n = 0; n < 4; n++) assert.deepEqual((await triedOf(sidecar, n)).at(-1), ['a', 200])
  assert.equal(await metric(sidecar, 'outrider_attempts_total{upstream="a"}'), 4)
})
