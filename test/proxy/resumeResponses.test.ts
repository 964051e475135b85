import assert from 'node:assert/strict'
import { test } from 'node:test'
import { breaksAfter, patientSettings } from '../fixtures/brokenStreams.ts'
import {
  askResponse,
  callEvents,
  heardResponse,
  messageItem,
  reasoningItem,
  responseBegun,
  responseEvents,
} from '../fixtures/brokenResponses.ts'
import { answers, cutting, eachCut, frame, sseBytes } from '../fixtures/provider.ts'
import { askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

const words = ['The ', 'quick ', 'brown ', 'fox']
const text = words.join('')
const goesOn = { continues: 'continue_final_message' }
const first = { id: 'first' }
const second = { id: 'second' }
const begins = (count: number): string[] => responseBegun(words.slice(0, count), first)

const bodyOf = (bytes: Buffer | undefined): Record<string, unknown> => JSON.parse(bytes?.toString() ?? '') as Record<string, unknown>

eachCut('a response that is cut is gone on with by an upstream that can, and the client sees one', async (t, cut) => {
  const upstreams = await startUpstreams(
    t,
    [cutting(cut, breaksAfter(...begins(2))), cutting(cut, sseBytes(...responseEvents(words.slice(2), { ...second, lastId: 'other' })))],
    patientSettings,
    [{}, goesOn],
  )
  const told = await askResponse(upstreams)
  const { text: said, heads, ids, last, types, error } = heardResponse(told.text)
  assert.deepEqual([said, heads, ids, error], [text, ['resp_first model-of-first 5'], ['msg_first'], undefined])
  assert.deepEqual(last?.output, [messageItem('msg_first', text)])
  assert.deepEqual(types.slice(-5), ['output_text.delta', 'output_text.done', 'content_part.done', 'output_item.done', 'completed'])
  assert.match(told.text, /^: resumed by b \(continue\)$/m)
  assert.deepEqual(bodyOf(upstreams.providers[1]?.seen[0]?.body), {
    model: 'm',
    stream: true,
    input: [
      { type: 'message', role: 'user', content: 'hi' },
      {
        type: 'message',
        id: 'msg_begun',
        status: 'in_progress',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'The quick', annotations: [] }],
      },
    ],
  })
  const line = await upstreams.sidecar.callLine(0)
  assert.deepEqual([line['end'], line['resumed'], line['attempts']], ['complete', 1, 2])
})

eachCut('where none can go on, another says all again, and what the client has is left out', async (t, cut) => {
  const upstreams = await startUpstreams(
    t,
    [cutting(cut, breaksAfter(...begins(2))), cutting(cut, sseBytes(...responseEvents(['The qui', 'ck brown f', 'ox'], second)))],
    patientSettings,
    // The input has no place for that mark.
    [{}, { continues: 'prefix' }],
  )
  const told = await askResponse(upstreams)
  const { text: said, heads, ids, last, error } = heardResponse(told.text)
  assert.deepEqual([said, heads, ids, error], [text, ['resp_first model-of-first 5'], ['msg_first'], undefined])
  assert.deepEqual(last?.output, [messageItem('msg_first', text)])
  assert.deepEqual(upstreams.providers[1]?.seen[0]?.body, upstreams.providers[0]?.seen[0]?.body)
  assert.match(told.text, /^: resumed by b \(splice\)$/m)
})

for (const thought of [undefined, 'Hm.']) {
  const events = responseEvents(words, { ...first, ...(thought === undefined ? {} : { thought }) })
  for (let count = 1; count <= events.length; count++) {
    const told = /^event: (.*)$/m.exec(events[count - 1] ?? '')?.[1] ?? ''
    test(`cut behind event ${count}, ${told}${thought === undefined ? '' : ', with a thought'}`, async (t) => {
      const script = [breaksAfter(...events.slice(0, count)), sseBytes(...responseEvents(words, second))]
      const upstreams = await startUpstreams(t, script, patientSettings)
      const { text: stream } = await askResponse(upstreams)
      assert.ok(stream.startsWith(events.slice(0, count).join('')))
      const { text: said, heads, ids, last, error } = heardResponse(stream)
      assert.deepEqual(heads, ['resp_first model-of-first 5'])
      const before = events.slice(0, count)
      const isWhole = before.some((event) => event.includes('response.completed'))
      const hasText = before.some((event) => event.includes('output_text.delta'))
      const hasThought = before.some((event) => event.includes('rs_first'))
      const isClosed = before.some((event) => event.includes('output_text.done'))
      if (!isWhole && (isClosed || (hasThought && !hasText))) {
        assert.match(error ?? '', /not resumed: no other attempt could go on from there/)
        return assert.deepEqual(askedOf(upstreams.providers), [1, 0])
      }
      assert.deepEqual([said, error, askedOf(upstreams.providers)], [text, undefined, [1, isWhole ? 0 : 1]])
      const message = count <= 2 ? 'msg_second' : 'msg_first'
      assert.deepEqual(ids, hasThought ? ['rs_first', message] : [message])
      const thoughts = hasThought ? [reasoningItem('rs_first', 'Hm.')] : []
      assert.deepEqual(last?.output, [...thoughts, messageItem(message, text)])
    })
  }
}

test('an error behind words of another attempt goes on with the numbers that the client has', async (t) => {
  const upstreams = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), breaksAfter(...responseBegun(['brown '], second))],
    { ...patientSettings, retry: { ...patientSettings.retry, attempts: 2 } },
    [{}, goesOn],
  )
  const { text: said, error } = heardResponse((await askResponse(upstreams)).text)
  assert.equal(said, 'The quick brown ')
  assert.match(error ?? '', /2 attempts, no more are allowed/)
})

test('another answer is not spliced to the first: the stream ends with an error, and no word of it is the other', async (t) => {
  for (const other of [['The quick red fox'], ['The qu'], ['the quick brown fox'], []]) {
    const upstreams = await startUpstreams(
      t,
      [breaksAfter(...begins(3)), sseBytes(...responseEvents(other, second)), answers(500)],
      patientSettings,
    )
    const { text: said, error, last, types } = heardResponse((await askResponse(upstreams)).text)
    assert.deepEqual([said, last], [words.slice(0, 3).join(''), undefined])
    assert.ok(!types.includes('output_text.done'))
    assert.match(error ?? '', /does not fit what the client has already/)
  }
})

test('a response is taken up twice', async (t) => {
  const { providers, sidecar } = await startUpstreams(
    t,
    [
      breaksAfter(...responseBegun(words.slice(0, 2), { ...first, thought: 'Hm.' })),
      breaksAfter(...responseBegun(words.slice(2, 3), second)),
      sseBytes(...responseEvents(words.slice(3), { id: 'third', thought: 'Well.', usage: [20, 1] })),
    ],
    patientSettings,
    [{}, goesOn, goesOn],
  )
  const { text: said, heads, ids, last } = heardResponse((await askResponse({ sidecar })).text)
  assert.deepEqual([said, heads, ids], [text, ['resp_first model-of-first 5'], ['rs_first', 'msg_first']])
  assert.deepEqual(last?.output, [reasoningItem('rs_first', 'Hm.'), messageItem('msg_first', text)])
  assert.deepEqual(askedOf(providers), [1, 1, 1])
  const { input } = bodyOf(providers[2]?.seen[0]?.body) as { input: { content: { text: string }[] }[] }
  assert.equal(input.at(-1)?.content[0]?.text, 'The quick brown')
})

test('tokens add up over the attempts, for the client and in the log', async (t) => {
  const upstreams = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), sseBytes(...responseEvents(words, { ...second, usage: [10, 4] }))],
    patientSettings,
  )
  const { last } = heardResponse((await askResponse(upstreams)).text)
  // Ten of the nineteen characters were said twice, and the prompt was read twice.
  const details = { input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } }
  assert.deepEqual(last?.usage, { input_tokens: 20, output_tokens: 6, total_tokens: 26, ...details })
  const line = await upstreams.sidecar.callLine(0)
  assert.deepEqual([line['tokens_in'], line['tokens_out'], line['model_served']], [20, 6, 'model-of-first'])
})

test('what another attempt has behind its text follows that of the client: its index, its items, its status', async (t) => {
  const behind = callEvents('second')
  for (const thought of [undefined, 'Hm.']) {
    const more = { ...second, behind, ...(thought === undefined ? {} : { thought }), status: 'incomplete' as const }
    const upstreams = await startUpstreams(t, [breaksAfter(...begins(2)), sseBytes(...responseEvents(words, more))], patientSettings)
    const { ids, types, last } = heardResponse((await askResponse(upstreams)).text)
    assert.deepEqual(ids, ['msg_first', 'fc_second'])
    assert.deepEqual([types.at(-1), last?.output[0]?.status, last?.store], ['incomplete', 'incomplete', false])
    assert.ok(!types.some((type) => type.includes('reasoning')))
  }
})

test('where another attempt has nothing to add, or only a tool to call, the message is ended for it', async (t) => {
  const call = callEvents('second').map((event): Record<string, unknown> => ({ ...event, output_index: 0 }))
  for (const events of [[], call]) {
    const output = events.flatMap(({ item }, at) => (at === events.length - 1 ? [item] : []))
    const response = { id: 'resp_second', object: 'response', created_at: 6, model: 'm', status: 'completed', output, usage: null }
    const script = [...responseEvents([], second).slice(0, 2), ...[...events, { type: 'response.completed', response }].map(frame)]
    const upstreams = await startUpstreams(t, [breaksAfter(...begins(4)), sseBytes(...script)], patientSettings, [{}, goesOn])
    const { text: said, types, last, error } = heardResponse((await askResponse(upstreams)).text)
    assert.deepEqual([said, error], [text, undefined])
    assert.deepEqual(last?.output, [messageItem('msg_first', text), ...output])
    const ends = ['output_text.done', 'content_part.done', 'output_item.done']
    const calls = events.map(({ type }) => String(type).replace('response.', ''))
    assert.deepEqual(types.slice(types.indexOf('output_text.done')), [...ends, ...calls, 'completed'])
  }
})

test('one that can go on is asked to, also where one stands before it whose mark Responses do not know', async (t) => {
  const upstreams = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), [], sseBytes(...responseEvents(words.slice(2), second))],
    patientSettings,
    [{}, { continues: 'assistant' }, { continues: 'continue_final_message' }],
  )
  const told = await askResponse(upstreams)
  assert.deepEqual([heardResponse(told.text).text, askedOf(upstreams.providers)], [text, [1, 0, 1]])
  assert.match(told.text, /^: resumed by c \(continue\)$/m)
})
