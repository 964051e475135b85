import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { breaksAfter, patientSettings } from '../fixtures/brokenStreams.ts'
import { askResponse, heardResponse, reasoningItem, responseBegun, responseEvents } from '../fixtures/brokenResponses.ts'
import { answers, frame, sseBytes } from '../fixtures/provider.ts'
import { askedOf, startUpstreams } from '../fixtures/startUpstreams.ts'

const words = ['The ', 'quick ', 'brown ', 'fox']
const text = words.join('')
const goesOn = { continues: 'continue_final_message' }
const first = { id: 'first' }
const second = { id: 'second' }
const begins = (count: number): string[] => responseBegun(words.slice(0, count), first)

test('an upstream that says in the middle that it has failed is taken over from, and heard as it is where nobody can', async (t) => {
  const error = { code: 'server_error', message: 'oops' }
  for (const count of [0, 1, 2]) {
    const before = responseEvents(words.slice(0, count), first).slice(0, count === 0 ? 1 : 4 + count)
    const number = before.length
    const failed = { type: 'response.failed', response: { id: 'resp_first', status: 'failed', error, output: [] }, sequence_number: number }
    for (const failure of [frame(failed), frame({ type: 'error', ...error, param: null, sequence_number: number })]) {
      const broken = sseBytes(...before, failure)
      const upstreams = await startUpstreams(t, [broken, sseBytes(...responseEvents(words, second))], patientSettings)
      const { text: said, error: heard, last } = heardResponse((await askResponse(upstreams)).text)
      assert.deepEqual([said, heard, last?.output.length], [text, undefined, 1])
      const helpless = await startUpstreams(t, [broken, answers(500)], {
        ...patientSettings,
        retry: { ...patientSettings.retry, attempts: 2 },
      })
      assert.equal((await askResponse(helpless)).text, [...before, failure].join(''))
      assert.deepEqual(askedOf(helpless.providers), [1, 1])
      const twice = await startUpstreams(
        t,
        [breaksAfter(...begins(2)), sseBytes(...before, failure), sseBytes(...responseEvents(words, second))],
        patientSettings,
      )
      assert.equal(heardResponse((await askResponse(twice)).text).text, text)
    }
  }
})

test('an upstream that says in the middle that the call is wrong is heard, and nobody else is asked', async (t) => {
  const error = { code: 'invalid_prompt', message: 'no' }
  const failed = frame({ type: 'response.failed', response: { id: 'resp_first', status: 'failed', error, output: [] }, sequence_number: 6 })
  const upstreams = await startUpstreams(t, [sseBytes(...begins(2), failed), []], patientSettings, [{}, goesOn])
  assert.equal((await askResponse(upstreams)).text, [...begins(2), failed].join(''))
  assert.deepEqual(askedOf(upstreams.providers), [1, 0])
})

const notResumed = async (t: TestContext, events: readonly string[], more: object = {}): Promise<void> => {
  const upstreams = await startUpstreams(t, [breaksAfter(...events), []], patientSettings, [goesOn, goesOn])
  const { text: got } = await askResponse(upstreams, more)
  assert.ok(got.startsWith(events.join('')))
  assert.match(got, /^event: error\ndata: .*not resumed: no other attempt could go on from there/m, events.at(-1) ?? '')
  assert.deepEqual(askedOf(upstreams.providers), [1, 0])
}

test('tools, refusals, sources, several messages and sealed thoughts end with an error, and nobody else is asked', async (t) => {
  const place = { item_id: 'msg_first', output_index: 0, content_index: 0 }
  const item = { id: 'msg_other', type: 'message', role: 'assistant', status: 'in_progress', content: [] }
  const added = (more: object): object => ({ type: 'response.output_item.added', output_index: 1, item: more })
  const part = (more: object): object => ({ type: 'response.content_part.added', ...place, content_index: 1, part: more })
  const cases: (readonly [number, object])[] = [
    [4, added({ type: 'function_call', id: 'fc_first', call_id: 'c', name: 'f', arguments: '' })],
    [2, { ...added({ type: 'web_search_call', id: 'ws_first', status: 'in_progress' }), output_index: 0 }],
    [4, added(item)],
    [6, added({ type: 'reasoning', id: 'rs_first', summary: [] })],
    [6, { type: 'response.output_text.delta', ...place, item_id: 'msg_other', delta: 'x' }],
    [4, part({ type: 'refusal', refusal: '' })],
    [4, part({ type: 'output_text', text: '', annotations: [] })],
    [6, { type: 'response.refusal.delta', ...place, delta: 'no' }],
    [6, { type: 'response.output_text.annotation.added', ...place, annotation_index: 0, annotation: { type: 'url_citation' } }],
    [6, { type: 'response.output_text.delta', ...place, delta: 'x', logprobs: [{ token: 'x', logprob: 0 }] }],
    [6, { type: 'response.audio.delta', delta: 'AAAA' }],
  ]
  for (const [count, event] of cases) {
    const before = begins(2).slice(0, count)
    await notResumed(t, [...before, frame({ ...event, sequence_number: before.length })])
  }
  await notResumed(t, responseBegun(words.slice(0, 2), { ...first, thought: 'Hm.', sealed: 'gAAAA' }))
})

test('a call that is to be kept, goes on from what is kept, or runs in the background is not taken up', async (t) => {
  for (const more of [
    { store: true },
    { background: true },
    { previous_response_id: 'resp_other' },
    { conversation: 'conv_other' },
    { include: ['message.output_text.logprobs'] },
    { top_logprobs: 2 },
  ])
    await notResumed(t, begins(2), more)
  const plain = {
    store: false,
    background: false,
    previous_response_id: null,
    include: ['reasoning.encrypted_content'],
    tools: [{ type: 'web_search' }],
  }
  const upstreams = await startUpstreams(
    t,
    [breaksAfter(...begins(2)), sseBytes(...responseEvents(words.slice(2), second))],
    patientSettings,
    [{}, goesOn],
  )
  assert.equal(heardResponse((await askResponse(upstreams, plain)).text).text, text)
})

test('a response that only another attempt has whole is not said to be kept', async (t) => {
  for (const count of [1, 6]) {
    const upstreams = await startUpstreams(
      t,
      [breaksAfter(...begins(2).slice(0, count)), sseBytes(...responseEvents(words, second))],
      patientSettings,
    )
    assert.equal(heardResponse((await askResponse(upstreams)).text).last?.store, false)
  }
  const whole = await startUpstreams(t, [sseBytes(...responseEvents(words, first)), []], patientSettings)
  assert.equal(heardResponse((await askResponse(whole)).text).last?.store, true)
})

test('words that an upstream takes for thoughts, or tells in its last event alone, are not left out', async (t) => {
  const whole = responseEvents(words, second)
  const [created = '', inProgress = '', , , ...rest] = whole
  const end = rest.at(-1) ?? ''
  const thoughts = responseEvents([], { ...second, thought: 'brown fox' }).slice(0, 8)
  const response = { id: 'resp_second', status: 'completed', output: [reasoningItem('rs_second', 'brown fox')] }
  for (const script of [
    [...thoughts, frame({ type: 'response.completed', response })],
    [created, inProgress, end],
    [...whole.slice(0, 4), end],
  ]) {
    const upstreams = await startUpstreams(t, [breaksAfter(...begins(2)), sseBytes(...script), answers(500)], patientSettings, [{}, goesOn])
    const { text: said, last, error } = heardResponse((await askResponse(upstreams)).text)
    assert.deepEqual([said, last], ['The quick ', undefined])
    assert.match(error ?? '', /does not fit what the client has already/)
  }
})

test('what only one account can answer is taken up there and nowhere else', async (t) => {
  const input = [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }]
  const script = [breaksAfter(...begins(2)), sseBytes(...responseEvents(words, second))]
  const { sidecar, providers } = await startUpstreams(t, [script, script], patientSettings, [{ tier: 1 }, { tier: 1 }])
  assert.equal(heardResponse((await askResponse({ sidecar }, { input })).text).text, text)
  assert.deepEqual(
    askedOf(providers).toSorted((one, other) => one - other),
    [0, 2],
  )
})
