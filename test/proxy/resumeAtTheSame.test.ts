import assert from 'node:assert/strict'
import { test } from 'node:test'
import { breaksAfter, chatEvents, heard, patientSettings } from '../fixtures/brokenStreams.ts'
import { answers, cutting, eachCut, provider, sseBytes, stall, stallAfter } from '../fixtures/provider.ts'
import { startByHand } from '../fixtures/startSidecar.ts'
import { ask, askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

const body = { stream: true, messages: [{ role: 'user', content: 'hi' }] }
const words = ['The ', 'quick ', 'brown ', 'fox']
const text = words.join('')
const begins = (count: number, id = 'first'): string[] => chatEvents(words.slice(0, count), { id, finish: false })
const all = sseBytes(...chatEvents(words, { id: 'second' }))
const rest = sseBytes(...chatEvents(words.slice(2), { id: 'second' }))
const serverError = 'data: {"error":{"message":"oops","type":"server_error"}}\n\n'

eachCut('where there is one upstream alone, it says all again, and what the client has is left out', async (t, cut) => {
  const { sidecar, providers } = await startUpstreams(t, [[cutting(cut, breaksAfter(...begins(2))), cutting(cut, all)]], patientSettings)
  const told = await ask(sidecar, body)
  const { text: said, roles, heads, done, error } = heard(told.text)
  assert.deepEqual([said, roles, heads, done, error], [text, 1, ['first model-of-first 5'], 1, undefined])
  assert.match(told.text, /^: resumed by a \(splice\)$/m)
  const [first, again] = providers[0]?.seen ?? []
  assert.deepEqual(again?.body, first?.body)
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['end'], line['resumed'], line['attempts']], ['complete', 1, 2])
})

test('one that can go on is asked to, even where another could say all again', async (t) => {
  const lone = await startUpstreams(t, [[breaksAfter(...begins(2)), rest]], patientSettings, [{ continues: 'assistant' }])
  const { text: said, done } = heard((await ask(lone.sidecar, body)).text)
  assert.deepEqual([said, done], [text, 1])
  const both = await startUpstreams(t, [[breaksAfter(...begins(2)), rest], []], patientSettings, [{ continues: 'assistant' }])
  const told = await ask(both.sidecar, body)
  assert.deepEqual([heard(told.text).text, askedOf(both.providers)], [text, [2, 0]])
  assert.match(told.text, /^: resumed by a \(continue\)$/m)
})

test('others come first, and only where they fail the one that broke off is asked again', async (t) => {
  const well = await startUpstreams(t, [[breaksAfter(...begins(2)), all], all], patientSettings)
  assert.deepEqual([heard((await ask(well.sidecar, body)).text).text, askedOf(well.providers)], [text, [1, 1]])
  const ill = await startUpstreams(t, [[breaksAfter(...begins(2)), all], answers(500)], patientSettings)
  const told = await ask(ill.sidecar, body)
  assert.deepEqual([heard(told.text).text, askedOf(ill.providers)], [text, [2, 1]])
  assert.match(told.text, /^: resumed by a \(splice\)$/m)
})

test('it is asked once more and no further, and says so when that breaks off as well', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [breaksAfter(...begins(2))], {
    ...patientSettings,
    retry: { ...patientSettings.retry, attempts: 5 },
  })
  const { text: said, error, done } = heard((await ask(sidecar, body)).text)
  assert.deepEqual([said, done, askedOf(providers)], [words.slice(0, 2).join(''), 0, [2]])
  assert.match(error ?? '', /reply_cut, 2 attempts/)
})

test('one that refuses to go on is still asked once for all of it', async (t) => {
  const refusal = answers(400, { error: { message: 'prefill is not supported', type: 'invalid_request_error' } })
  const { sidecar, providers } = await startUpstreams(t, [[breaksAfter(...begins(2)), refusal, all]], patientSettings, [
    { continues: 'assistant' },
  ])
  const { text: said, done } = heard((await ask(sidecar, body)).text)
  assert.deepEqual([said, done, askedOf(providers)], [text, 1, [3]])
})

test('one that went silent is not asked again: it may still be working on the call', async (t) => {
  const silent = stallAfter(...begins(2).map((event) => event.slice(6).trim()))
  const { sidecar, providers } = await startUpstreams(t, [[silent, all]], { ...patientSettings, timeouts: { idle: '200ms' } })
  assert.match(heard((await ask(sidecar, body)).text).error ?? '', /idle_timeout/)
  assert.deepEqual(askedOf(providers), [1])
})

test('one that went silent is not asked again for what came of an attempt before', async (t) => {
  const silent = stallAfter(...begins(2).map((event) => event.slice(6).trim()))
  const timeouts = { idle: '200ms', firstEvent: '200ms' }
  const { sidecar, providers } = await startUpstreams(t, [[answers(503), silent, all]], { ...patientSettings, timeouts })
  assert.match(heard((await ask(sidecar, body)).text).error ?? '', /idle_timeout, 2 attempts/)
  assert.deepEqual(askedOf(providers), [2])
})

test('it is the one that broke off that is asked again, and none that went silent before', async (t) => {
  const cut = breaksAfter(...begins(2))
  const { sidecar, providers } = await startUpstreams(
    t,
    [
      [answers(503), cut, cut, all],
      [stall(), all],
    ],
    {
      ...patientSettings,
      retry: { ...patientSettings.retry, attempts: 5 },
      timeouts: { firstEvent: '200ms' },
    },
  )
  assert.match(heard((await ask(sidecar, body)).text).error ?? '', /reply_cut, 4 attempts/)
  assert.deepEqual(askedOf(providers), [3, 1])
})

/** So long that all the time of a call is too short for what is drawn. */
const longBackoff = { ...patientSettings.retry, backoff: '100h', longestBackoff: '100h' }

test('where the wait would leave no time for an attempt, the error comes at once', async (t) => {
  const llm = await provider(t, [breaksAfter(...begins(2)), all])
  const timeouts = { total: '20s', streamTotal: '20s' }
  // The clock stands still: who waits would never be answered.
  const sidecar = await startByHand(t, llm.url, { ...patientSettings, retry: longBackoff, timeouts })
  const { error } = heard((await ask(sidecar, body)).text)
  assert.match(error ?? '', /reply_cut, 1 attempt, not repeated: too little time was left/)
  assert.equal(llm.seen.length, 1)
})

test('one that has failed others during the wait is not asked again', async (t) => {
  const llm = await provider(t, [breaksAfter(...begins(2)), breaksAfter(...begins(2))])
  const { health: _, ...settings } = patientSettings
  const retry = { ...settings.retry, backoff: '1s', longestBackoff: '1s' }
  const sidecar = await startByHand(t, llm.url, { ...settings, retry, health: { failures: 2 } })
  const calls = [ask(sidecar, body), ask(sidecar, body)]
  // The one that breaks off last makes the upstream one that fails, and so has nothing to wait for.
  const last = await Promise.race(calls)
  sidecar.clock.pass(1_500)
  for (const { text: told } of [last, ...(await Promise.all(calls))])
    assert.match(heard(told).error ?? '', /reply_cut, 1 attempt, not repeated: no other upstream can be used/)
  assert.equal(llm.seen.length, 2)
})

test('a client that leaves during the wait leaves nothing behind', async (t) => {
  const llm = await provider(t, [breaksAfter(...begins(2))])
  const sidecar = await startByHand(t, llm.url, { ...patientSettings, retry: longBackoff, timeouts: { streamTotal: '500h' } })
  const client = new AbortController()
  const reply = await fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', ...body }),
    signal: client.signal,
  })
  const reader = reply.body?.getReader()
  await reader?.read()
  await (
    await llm.request(0)
  ).closed
  client.abort()
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['error'], line['attempts'], (line['tried'] as unknown[]).length], ['client_gone', 1, 1])
})

test('one that says in the middle that it has failed is asked again, and one that says it has too much to do is not', async (t) => {
  const failed = await startUpstreams(t, [[sseBytes(...begins(2), serverError), all]], patientSettings)
  const { text: said, done } = heard((await ask(failed.sidecar, body)).text)
  assert.deepEqual([said, done, askedOf(failed.providers)], [text, 1, [2]])
  const limit = 'data: {"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}\n\n'
  const limited = await startUpstreams(t, [[sseBytes(...begins(2), limit), all]], patientSettings)
  assert.equal((await ask(limited.sidecar, body)).text, [...begins(2), limit].join(''))
  assert.deepEqual(askedOf(limited.providers), [1])
})

test('a client that repeats its calls by itself is not repeated for', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [[breaksAfter(...begins(2)), all]], patientSettings)
  const told = await ask(sidecar, body, { 'x-stainless-retry-count': '1' })
  assert.match(heard(told.text).error ?? '', /reply_cut/)
  assert.deepEqual(askedOf(providers), [1])
})

test('one that breaks off one stream after the other is not asked again, until it is known to be well', async (t) => {
  const { health: _, ...settings } = patientSettings
  const { sidecar, providers } = await startUpstreams(t, [breaksAfter(...begins(2))], { ...settings, health: { failures: 4 } })
  for (let n = 0; n < 4; n++) await ask(sidecar, body)
  // Two calls with two attempts, and two with one.
  assert.deepEqual(askedOf(providers), [6])
})

test('a call that only one account can answer is taken up there', async (t) => {
  const script = [breaksAfter(...begins(2)), all]
  const { sidecar, providers } = await startUpstreams(t, [script, script], patientSettings, [{ tier: 1 }, { tier: 1 }])
  const file = { type: 'file', file: { file_id: 'file-ofSomebody' } }
  const told = await ask(sidecar, { ...body, messages: [{ role: 'user', content: [file] }] })
  assert.equal(heard(told.text).text, text)
  assert.deepEqual(
    askedOf(providers).toSorted((one, other) => one - other),
    [0, 2],
  )
})
