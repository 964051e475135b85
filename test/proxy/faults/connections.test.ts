import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  answers,
  chat,
  cutAfter,
  deadUpstream,
  garbage,
  hangUp,
  sse,
  stall,
  stallAfterHead,
  tooShort,
  type Step,
} from '../../fixtures/provider.ts'
import { openStream } from '../../fixtures/streamClient.ts'
import { ask, askedOf, served, startUpstreams } from '../../fixtures/startUpstreams.ts'

const resets =
  (): Step =>
  async ({ body, reset }) => {
    await body
    reset()
  }

const halfThenReset =
  (): Step =>
  async ({ body, res, reset }) => {
    await body
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    res.write('{"half":', reset)
  }

suite('another upstream takes over when the first', { concurrency: true }, () => {
  test('refuses connections', async (t) => {
    const { sidecar, providers } = await startUpstreams(t, [[], chat('from b')], {}, [{ url: `${await deadUpstream()}/v1` }])
    assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
    assert.deepEqual(askedOf(providers), [0, 1])
  })
  const faults: readonly (readonly [string, Step])[] = [
    ['hangs up before its answer', hangUp()],
    ['resets the connection before its answer', resets()],
    ['breaks off in the middle of its answer', halfThenReset()],
    ['declares more than it sends', tooShort()],
    ['answers with what is no HTTP', garbage()],
    ['answers 200 with a page for browsers', answers(200, '<html>login</html>', { 'content-type': 'text/html; charset=utf-8' })],
    ['answers 200 with nothing', answers(200, '')],
  ]
  for (const [what, fault] of faults) {
    test(what, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [fault, chat('from b')])
      const told = await ask(sidecar)
      assert.equal(told.status, 200, told.text)
      assert.match(told.text, /from b/)
      assert.deepEqual(served(told), ['b', '2'])
      assert.deepEqual(askedOf(providers), [1, 1])
    })
  }
  const streams: readonly (readonly [string, Step])[] = [
    ['begins a stream with an error', sse({ error: { message: 'overloaded', type: 'server_error' } })],
    ['begins a stream with an error of the other shape', sse({ type: 'error', error: { type: 'overloaded_error', message: 'x' } })],
    ['breaks a stream off before its first event', cutAfter()],
    ['sends no first event in time', stallAfterHead()],
    ['never answers', stall()],
  ]
  for (const [what, fault] of streams) {
    test(what, async (t) => {
      const { sidecar, providers } = await startUpstreams(t, [fault, chat('from b')], { timeouts: { firstEvent: '300ms' } })
      const client = await openStream(t, sidecar.port, { body: '{"model":"m","stream":true}' })
      assert.equal(client.status, 200)
      assert.match(await client.whole, /data: \[DONE\]\n\n$/)
      assert.deepEqual([client.headers['x-outrider-upstream'], client.headers['x-outrider-attempts']], ['b', '2'])
      assert.deepEqual(askedOf(providers), [1, 1])
    })
  }
})

test('what nobody can take over passes as it came: a page, an empty answer, a stream that is an error', async (t) => {
  const event = { error: { message: 'overloaded', type: 'server_error' } }
  const page = answers(200, '<html>', { 'content-type': 'text/html' })
  const { sidecar } = await startUpstreams(t, [[page, answers(200, ''), sse(event)]], { retry: { attempts: 1 } })
  assert.deepEqual([(await ask(sidecar)).text, (await ask(sidecar)).text], ['<html>', ''])
  assert.equal((await ask(sidecar, { stream: true })).text, `data: ${JSON.stringify(event)}\n\n`)
})

test('a stream that breaks off behind its first event is not begun anew where it may not be resumed', async (t) => {
  const cut = cutAfter({ choices: [{ delta: { content: 'half' } }] })
  const { sidecar, providers } = await startUpstreams(t, [cut, []], { routing: { resume: 'error' } })
  const told = await ask(sidecar, { stream: true })
  assert.match(told.text, /half[\s\S]*reply_cut/)
  assert.doesNotMatch(told.text, /\[DONE\]/)
  assert.deepEqual(askedOf(providers), [1, 0])
})

test('answers that break off behind their first byte eject their upstream all the same', async (t) => {
  const cut = cutAfter({ choices: [{ delta: { content: 'half' } }] })
  const { sidecar } = await startUpstreams(t, [cut, chat('from b')])
  for (let n = 0; n < 5; n++) await ask(sidecar, { stream: true })
  await sidecar.logged('upstream a is ejected')
  assert.deepEqual(served(await ask(sidecar, { stream: true })), ['b', '1'])
})

test('a long answer that is whole is passed on whole, though it was held for a while', async (t) => {
  const long = { text: 'é'.repeat(400_000) }
  const { sidecar } = await startUpstreams(t, [answers(200, long), []])
  assert.equal((await ask(sidecar)).text, JSON.stringify(long))
})
