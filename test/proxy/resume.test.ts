import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { breaksAfter, chatEvents, heard, patientSettings } from '../fixtures/brokenStreams.ts'
import { answers, cutAfter, eachCut, cutting, paced, sseBytes, stall, stallAfter, type Step } from '../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'
import { openStream } from '../fixtures/streamClient.ts'

const body = { stream: true, messages: [{ role: 'user', content: 'hi' }] }
const words = ['The ', 'quick ', 'brown ', 'fox']
const text = words.join('')
const goesOn = { continues: 'assistant' }
const begins = (count: number, id = 'first'): string[] => chatEvents(words.slice(0, count), { id, finish: false })

const bodyOf = (bytes: Buffer | undefined): { messages: unknown[]; [name: string]: unknown } =>
  JSON.parse(bytes?.toString() ?? '') as { messages: unknown[] }

eachCut('a stream that is cut is gone on with by an upstream that can, and the client sees one answer', async (t, cut) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [cutting(cut, breaksAfter(...begins(2))), cutting(cut, sseBytes(...chatEvents(words.slice(2), { id: 'second' })))],
    patientSettings,
    [{}, goesOn],
  )
  const told = await ask(sidecar, body)
  const { text: said, roles, heads, indexes, finishes, done, error } = heard(told.text)
  assert.equal(error, undefined)
  assert.deepEqual([said, roles, heads, indexes, finishes, done], [text, 1, ['first model-of-first 5'], [0], ['stop'], 1])
  assert.match(told.text, /^: resumed by b \(continue\)$/m)
  assert.deepEqual(bodyOf(providers[1]?.seen[0]?.body), {
    model: 'm',
    ...body,
    messages: [...body.messages, { role: 'assistant', content: 'The quick' }],
  })
  const line = await sidecar.callLine(0)
  assert.deepEqual(
    [line['end'], line['resumed'], line['attempts'], (line['tried'] as { outcome: unknown }[]).map(({ outcome }) => outcome)],
    ['complete', 1, 2, ['reply_cut', 200]],
  )
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.match(metrics, /^outrider_resumes_total\{way="continue",result="resumed"\} 1$/m)
})

eachCut('where none can go on, another says all again, and what the client has is left out', async (t, cut) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [cutting(cut, breaksAfter(...begins(2))), cutting(cut, sseBytes(...chatEvents(['The qui', 'ck brown f', 'ox'], { id: 'second' })))],
    patientSettings,
  )
  const told = await ask(sidecar, body)
  const { text: said, roles, heads, done, error } = heard(told.text)
  assert.deepEqual([said, roles, heads, done, error], [text, 1, ['first model-of-first 5'], 1, undefined])
  assert.deepEqual(providers[1]?.seen[0]?.body, providers[0]?.seen[0]?.body)
  assert.match(told.text, /^: resumed by b \(splice\)$/m)
})

test('another answer is not spliced to the first: the stream ends with an error, and no word of it is the other', async (t) => {
  for (const other of [['The quick red fox'], ['The qu'], ['the quick brown fox'], []]) {
    const { sidecar } = await startUpstreams(t, [breaksAfter(...begins(3)), sseBytes(...chatEvents(other, { id: 'second' }))], {
      ...patientSettings,
      retry: { ...patientSettings.retry, attempts: 2 },
    })
    const { text: said, error, done } = heard((await ask(sidecar, body)).text)
    assert.deepEqual([said, done], [words.slice(0, 3).join(''), 0])
    assert.match(error ?? '', /does not fit what the client has already/)
  }
})

test('one that refuses to go on is asked for all of it', async (t) => {
  const refusal = { error: { message: 'prefill is not supported', type: 'invalid_request_error' } }
  const { sidecar, providers } = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), [answers(400, refusal), sseBytes(...chatEvents(words, { id: 'second' }))]],
    patientSettings,
    [{}, goesOn],
  )
  const { text: said, done } = heard((await ask(sidecar, body)).text)
  assert.deepEqual([said, done, askedOf(providers)], [text, 1, [1, 2]])
})

test('one that goes silent, or drips, or sends what is no JSON, is taken over from like one that is cut', async (t) => {
  const waits = { ...patientSettings, timeouts: { idle: '200ms' } }
  const silent = stallAfter(...begins(2).map((event) => event.slice(6).trim()))
  const second = sseBytes(...chatEvents(words.slice(2), { id: 'second' }))
  const malformed = breaksAfter(...begins(2), 'data: {"choices":[{"delta":{"content":"bro\n\n', 'data: [DONE]\n\n')
  const drips = paced()
  const dripping = (async () => {
    const { seen } = await drips.started
    for (const event of begins(2)) await drips.send(event.slice(6).trim())
    // Each of them well before the silence would be too long.
    const timer = setInterval(() => void drips.send('{"choices":[]}'), 50)
    await seen.closed
    clearInterval(timer)
  })()
  for (const [first, document] of [
    [silent, waits],
    [malformed, { ...patientSettings, streams: { malformed: 'end' } }],
    [drips, { ...waits, streams: { leastRate: '1KiB' } }],
  ] as const) {
    const { sidecar } = await startUpstreams(t, [first, second], document, [{}, goesOn])
    const { text: said, error, done } = heard((await ask(sidecar, body)).text)
    assert.deepEqual([said, error, done], [text, undefined, 1])
  }
  await dripping
})

test('what is malformed passes as it is unless told otherwise', async (t) => {
  const spoiled = [...begins(2), 'data: {"choices":[{"del\n\n', ...chatEvents(words.slice(2), { id: 'first' })]
  const { sidecar } = await startUpstreams(t, [sseBytes(...spoiled), []], patientSettings)
  assert.equal((await ask(sidecar, body)).text, spoiled.join(''))
})

test('a stream that has told nothing is begun anew, whatever the call asks for', async (t) => {
  const tools = { tools: [{ type: 'function', function: { name: 'f' } }], n: 2 }
  const first = paced()
  const { sidecar } = await startUpstreams(t, [first, sseBytes(...chatEvents(words, { id: 'second' }))], {
    ...patientSettings,
    streams: { heartbeat: '50ms' },
  })
  const client = await openStream(t, sidecar.port, { body: JSON.stringify({ model: 'm', ...body, ...tools }) })
  await client.until(': still here')
  await first.cut()
  const { text: said, heads, done } = heard(await client.whole)
  assert.deepEqual([said, heads, done], [text, ['second model-of-second 6'], 1])
})

test('tools under way, several answers, probabilities and thoughts without words end with an error, and nobody else is asked', async (t) => {
  const choice = (delta: object, more: object = {}): string =>
    `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta, finish_reason: null, ...more }] })}\n\n`
  const cases: [object, string[]][] = [
    [{}, [...begins(1), choice({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{"a' } }] })]],
    [{}, [...begins(1), choice({ function_call: { name: 'f', arguments: '' } })]],
    [{ n: 2 }, begins(1)],
    [{}, [choice({ content: 'a' }), choice({ content: 'b' }, { index: 1 })]],
    [{ logprobs: true }, begins(1)],
    [{}, [choice({ reasoning_content: 'I wonder' })]],
    [{}, [...begins(1), choice({ refusal: 'no' })]],
    [{}, [...begins(1), 'data: {"torn\n\n']],
  ]
  for (const [more, events] of cases) {
    const { sidecar, providers } = await startUpstreams(t, [breaksAfter(...events), []], patientSettings, [{}, goesOn])
    const { text: got } = await ask(sidecar, { ...body, ...more })
    assert.match(got, /event: error\ndata: .*not resumed: no other attempt could go on from there/, JSON.stringify(events))
    assert.ok(got.startsWith(events.join('')))
    assert.doesNotMatch(got, /\[DONE\]/)
    assert.deepEqual(askedOf(providers), [1, 0])
  }
})

test('a grammar begins anew, so that such an answer is spliced and never continued', async (t) => {
  const { sidecar, providers } = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), sseBytes(...chatEvents(words, { id: 'second' }))],
    patientSettings,
    [{}, goesOn],
  )
  const told = await ask(sidecar, { ...body, response_format: { type: 'json_object' } })
  assert.equal(heard(told.text).text, text)
  assert.deepEqual(providers[1]?.seen[0]?.body, providers[0]?.seen[0]?.body)
})

test('the route says what becomes of its streams', async (t) => {
  const resume = { ...patientSettings, routing: { resume: 'error' }, routes: [{ name: 'r', models: ['r*'], resume: 'splice' }] }
  const { sidecar, providers } = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), sseBytes(...chatEvents(words, { id: 'second' }))],
    resume,
    [{}, goesOn],
  )
  assert.match(heard((await ask(sidecar, body)).text).error ?? '', /reply_cut/)
  assert.deepEqual(askedOf(providers), [1, 0])
  assert.equal(heard((await ask(sidecar, { ...body, model: 'r1' })).text).text, text)
  assert.equal(bodyOf(providers[1]?.seen[0]?.body).messages.length, 1)
})

test('a stream is resumed as often as the call may be tried, over all ways', async (t) => {
  const middle = chatEvents(words.slice(2, 3), { id: 'second', finish: false })
  const last = chatEvents(words.slice(3), { id: 'third' })
  const { sidecar, providers } = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), breaksAfter(...middle), sseBytes(...last), []],
    patientSettings,
    [{}, goesOn, goesOn, goesOn],
  )
  const { text: said, heads, done } = heard((await ask(sidecar, body)).text)
  assert.deepEqual([said, heads, done], [text, ['first model-of-first 5'], 1])
  assert.deepEqual(bodyOf(providers[2]?.seen[0]?.body).messages.at(-1), { role: 'assistant', content: 'The quick brown' })
  assert.equal((await sidecar.callLine(0))['resumed'], 2)

  const twice = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), breaksAfter(...middle), []],
    { ...patientSettings, retry: { ...patientSettings.retry, attempts: 2 } },
    [{}, goesOn, goesOn],
  )
  const short = heard((await ask(twice.sidecar, body)).text)
  assert.equal(short.text, 'The quick brown ')
  assert.match(short.error ?? '', /2 attempts, no more are allowed/)
})

for (const [reason, bounds, words] of [
  ['budget_tokens', { leastTokens: 0, tokens: 0 }, /not repeated: too many tokens may have been billed twice/],
  // It counts for two, as what broke off may have been billed.
  ['budget_rate', { leastRate: 1, rate: 0 }, /not repeated: .*too many repeats lately/],
  ['budget_concurrency', { leastConcurrent: 0, concurrent: 0 }, /not repeated: .*too many repeats are running/],
] as const) {
  test(`what it may cost is bounded like every repeat that may be billed twice: ${reason}`, async (t) => {
    const { retry, ...rest } = patientSettings
    const document = { ...rest, retry: { ...retry, budget: { ...retry.budget, ...bounds } } }
    const { sidecar, providers } = await startUpstreams(t, [breaksAfter(...begins(2)), []], document, [{}, goesOn])
    const { error } = heard((await ask(sidecar, body)).text)
    assert.match(error ?? '', words)
    assert.deepEqual(askedOf(providers), [1, 0])
    const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
    assert.ok(metrics.includes(`\noutrider_retries_refused_total{reason="${reason}"} 1\n`), reason)
  })
}

test('a stream that has brought more than may be kept is not resumed', async (t) => {
  const long = chatEvents(
    Array.from({ length: 100 }, () => randomBytes(100).toString('hex')),
    { id: 'first', finish: false },
  )
  for (const streams of [{ resumeKept: '8KiB' }, { resumeMemory: '8KiB' }]) {
    const { sidecar, providers } = await startUpstreams(t, [breaksAfter(...long), []], { ...patientSettings, streams }, [{}, goesOn])
    const { text: got } = await ask(sidecar, body)
    assert.match(got, /not resumed/)
    assert.ok(got.startsWith(long.join('')))
    assert.deepEqual(askedOf(providers), [1, 0])
  }
})

test('a client that leaves while another attempt is under way is seen to leave by that upstream', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [breaksAfter(...begins(2)), stall()], patientSettings, [{}, goesOn])
  const client = await openStream(t, sidecar.port, { body: JSON.stringify({ model: 'm', ...body }) })
  await client.until('quick')
  const second = await providers[1]?.request(0)
  await second?.whole
  client.response.destroy()
  assert.equal(await second?.closed, true)
  assert.equal((await sidecar.callLine(0))['end'], 'client_gone')

  const later = paced()
  const running = await startUpstreams(t, [breaksAfter(...begins(2)), later], patientSettings, [{}, goesOn])
  const other = await openStream(t, running.sidecar.port, { body: JSON.stringify({ model: 'm', ...body }) })
  await later.started
  await later.send(chatEvents(['brown '], { id: 'second', finish: false })[1]?.slice(6).trim() ?? '')
  await other.until('brown')
  other.response.destroy()
  assert.equal(await later.closed, true)
  await running.sidecar.callLine(0)
  const metrics = await (await fetch(`${running.sidecar.adminUrl}/metrics`)).text()
  assert.doesNotMatch(metrics, /^outrider_resumes_total\{.*failed.*\} 1$/m)
})

test('a finish reason is the end of an answer, whatever becomes of the connection behind it', async (t) => {
  const events = chatEvents(words, { id: 'first' }).slice(0, -1)
  const { sidecar, providers } = await startUpstreams(t, [cutAfter(...events.map((event) => event.slice(6).trim())), []], patientSettings, [
    {},
    goesOn,
  ])
  const { text: said, done, error } = heard((await ask(sidecar, body)).text)
  assert.deepEqual([said, done, error, askedOf(providers)], [text, 1, undefined, [1, 0]])
})

test('tokens add up over the attempts, for the client and in the log', async (t) => {
  const { sidecar } = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), sseBytes(...chatEvents(words, { id: 'second', usage: [10, 4] }))],
    { ...patientSettings },
  )
  const { usage } = heard((await ask(sidecar, body)).text)
  // Ten of the nineteen characters were said twice, and the prompt was read twice.
  assert.deepEqual(usage, { prompt_tokens: 20, completion_tokens: 6, total_tokens: 26 })
  const line = await sidecar.callLine(0)
  assert.deepEqual([line['tokens_in'], line['tokens_out'], line['model_served']], [20, 6, 'model-of-first'])
})

test('of several answers one that has its finish reason is not the end', async (t) => {
  const { sidecar } = await startUpstreams(
    t,
    [
      cutAfter(
        ...chatEvents(words, { id: 'x' })
          .slice(0, -1)
          .map((event) => event.slice(6).trim()),
      ),
      [],
    ],
    {
      ...patientSettings,
    },
  )
  assert.match((await ask(sidecar, { ...body, n: 2 })).text, /event: error/)
})

test('a stream of another kind that has begun ends with an error', async (t) => {
  const partial = { type: 'image_generation.partial_image', b64_json: '' }
  const { sidecar, providers } = await startUpstreams(t, [cutAfter(partial), []], patientSettings)
  const { text: got } = await ask(sidecar, body, {}, '/images/generations')
  assert.match(got, /event: error\ndata: .*not resumed/)
  assert.deepEqual(askedOf(providers), [1, 0])
})

test('an upstream that says in the middle that it is overloaded is taken over from, and heard as it is where nobody can', async (t) => {
  const failures = [
    'data: {"error":{"message":"too busy","type":"overloaded_error"}}\n\n',
    'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
  ]
  for (const failure of failures) {
    const first = sseBytes(...begins(2), failure)
    const second = sseBytes(...chatEvents(words.slice(2), { id: 'second' }))
    const { sidecar } = await startUpstreams(t, [first, second], patientSettings, [{}, goesOn])
    const { text: said, error, done } = heard((await ask(sidecar, body)).text)
    assert.deepEqual([said, error, done], [text, undefined, 1])
    const helpless = await startUpstreams(t, [first, answers(500)], patientSettings, [{}, goesOn])
    assert.equal((await ask(helpless.sidecar, body)).text, [...begins(2), failure].join(''))
    assert.deepEqual(askedOf(helpless.providers), [1, 1])
  }
})

test('an upstream that says in the middle that the call is wrong is heard, and nobody else is asked', async (t) => {
  const refusal = 'data: {"error":{"message":"no","code":"content_policy_violation","type":"invalid_request_error"}}\n\n'
  const { sidecar, providers } = await startUpstreams(t, [sseBytes(...begins(2), refusal), []], patientSettings, [{}, goesOn])
  assert.equal((await ask(sidecar, body)).text, [...begins(2), refusal].join(''))
  assert.deepEqual(askedOf(providers), [1, 0])
})

test('one that goes on with nothing but thoughts has not gone on: an answer is not ended short of them', async (t) => {
  const delta = (what: object, reason: string | null = null): string =>
    `data: ${JSON.stringify({ id: 'second', choices: [{ index: 0, delta: what, finish_reason: reason }] })}\n\n`
  const end = [delta({}, 'stop'), 'data: [DONE]\n\n']
  const thought = delta({ reasoning_content: 'brown fox' })
  const outcomes: [string[], string, number][] = [
    [[thought], 'The quick ', 0],
    [[thought, delta({ content: 'brown fox' })], 'The quick brown fox', 1],
    [[thought, delta({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{}' } }] })], 'The quick ', 1],
    [[], 'The quick ', 1],
  ]
  for (const [events, said, done] of outcomes) {
    const { sidecar } = await startUpstreams(
      t,
      [breaksAfter(...begins(2)), sseBytes(...events, ...end)],
      { ...patientSettings, retry: { ...patientSettings.retry, attempts: 2 } },
      [{}, goesOn],
    )
    const got = heard((await ask(sidecar, body)).text)
    assert.deepEqual([got.text, got.done], [said, done], JSON.stringify(events))
  }
})

test('until the other one speaks, the client is told that its stream is alive', async (t) => {
  let release = (): void => {}
  const released = new Promise<void>((give) => (release = give))
  // Not even a head.
  const late: Step = async (exchange) => {
    await released
    await sseBytes(...chatEvents(words.slice(2), { id: 'second' }))(exchange)
  }
  const { sidecar } = await startUpstreams(t, [breaksAfter(...begins(2)), late], { ...patientSettings, streams: { heartbeat: '50ms' } }, [
    {},
    goesOn,
  ])
  const client = await openStream(t, sidecar.port, { body: JSON.stringify({ model: 'm', ...body }) })
  await client.until('quick')
  await client.until(': still here\n\n: still here\n\n')
  release()
  const { text: said, done, error } = heard(await client.whole)
  assert.deepEqual([said, done, error], [text, 1, undefined])
})
