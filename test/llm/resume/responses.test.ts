import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pass } from '../../../sidecar/proxy/llm/resume/pass.ts'
import { openPassage } from '../../../sidecar/proxy/llm/resume/passage.ts'
import { noSeam, type Seam } from '../../../sidecar/proxy/llm/resume/seam.ts'
import { readStory } from '../../../sidecar/proxy/llm/resume/story.ts'
import type { Story } from '../../../sidecar/proxy/llm/resume/told.ts'
import { parseEvents } from '../../../sidecar/proxy/llm/sse.ts'
import { callEvents, heardResponse, messageItem, responseBegun, responseEvents, responseObjects } from '../../fixtures/brokenResponses.ts'
import { frame } from '../../fixtures/provider.ts'

const words = ['The ', 'quick ', 'brown ', 'fox']
const text = words.join('')

const storyOf = (events: readonly string[]): Story | undefined => readStory('responses', events.join(''))

interface Behind {
  readonly out: string
  readonly agrees: boolean
  readonly goesOn: boolean
}

/** What a client that has the first gets of the second; all in one read, or event by event. */
function behind(first: readonly string[], second: readonly string[], seam?: Seam, atOnce = false): Behind {
  const story = storyOf(first)
  assert.ok(story !== undefined)
  const passage = openPassage(story, seam ?? { text: story.text, at: 0, strict: true }, { prefix: 0, before: [] })
  let out = ''
  for (const read of atOnce ? [second.join('')] : second) {
    const { bytes, agrees } = pass(passage, Buffer.from(read))
    out += bytes.toString()
    if (!agrees) return { out, agrees, goesOn: false }
  }
  return { out, agrees: true, goesOn: passage.goesOn }
}

test('a story of a response knows its ids, its place, its number and its text', () => {
  const story = storyOf(responseBegun(words.slice(0, 2), { id: 'first', thought: 'Hm.' }))
  assert.ok(story !== undefined)
  assert.deepEqual(
    [story.begun, story.thought, story.text, story.head],
    [true, true, 'The quick ', { id: 'resp_first', object: 'response', created_at: 5, model: 'model-of-first' }],
  )
  const { number, place, finished, pending } = story.response
  assert.deepEqual([number, place, pending], [11, { item_id: 'msg_first', output_index: 1, content_index: 0 }, undefined])
  assert.deepEqual(
    finished.map(({ id }) => id),
    ['rs_first'],
  )
})

test('all events of a read are told one after the other', () => {
  const first = responseBegun(words.slice(0, 2), { id: 'first' })
  for (const atOnce of [true, false]) {
    const { out, agrees } = behind(first, responseEvents(words, { id: 'second' }), undefined, atOnce)
    assert.ok(agrees)
    assert.deepEqual(heardResponse(first.join('') + out).last?.output, [messageItem('msg_first', text)])
    assert.doesNotMatch(out, /"type":"response.output_item.done"[^\n]*"item_id"/)
  }
})

test('a server that tells no indexes and no numbers, and ends all items together, is understood', () => {
  // As llama.cpp writes them.
  const bare = (id: string, said: readonly string[], tool = false): string[] => {
    const response = { id: `resp_${id}`, object: 'response', status: 'in_progress' }
    const item = messageItem(`msg_${id}`, said.join(''))
    const call = { id: `fc_${id}`, type: 'function_call', call_id: 'c', name: 'f', arguments: '' }
    return [
      { type: 'response.created', response },
      { type: 'response.in_progress', response },
      { type: 'response.output_item.added', item: { ...item, status: 'in_progress', content: [] } },
      { type: 'response.content_part.added', item_id: item['id'], part: { type: 'output_text', text: '' } },
      ...said.map((delta) => ({ type: 'response.output_text.delta', item_id: item['id'], delta })),
      ...(tool ? [{ type: 'response.output_item.added', item: call }] : []),
      { type: 'response.output_text.done', item_id: item['id'], text: said.join('') },
      { type: 'response.content_part.done', item_id: item['id'], part: { type: 'output_text', text: said.join('') } },
      { type: 'response.output_item.done', item },
      ...(tool ? [{ type: 'response.output_item.done', item: call }] : []),
      { type: 'response.completed', response: { ...response, status: 'completed', output: [item, ...(tool ? [call] : [])] } },
    ].map(frame)
  }
  for (const tool of [false, true]) {
    const { out, agrees } = behind(bare('first', words.slice(0, 2)).slice(0, 6), bare('second', words.slice(2), tool), { ...noSeam })
    assert.ok(agrees)
    const events = parseEvents(out).map(({ data }) => JSON.parse(data) as Record<string, unknown>)
    assert.ok(events.every((event) => !('sequence_number' in event) && !('output_index' in event)))
    for (const type of ['output_text.done', 'content_part.done'])
      assert.equal(events.filter((one) => one['type'] === `response.${type}`).length, 1)
    const { output, id } = (events.at(-1) ?? {})['response'] as { output: { id: string }[]; id: string }
    assert.deepEqual([id, output.map((item) => item.id)], ['resp_first', tool ? ['msg_first', 'fc_second'] : ['msg_first']])
    assert.deepEqual(output[0], messageItem('msg_first', text))
  }
})

test('deltas alone are a text, too', () => {
  const delta = (id: string, word: string, sequence_number: number): string =>
    frame({ type: 'response.output_text.delta', item_id: id, output_index: 0, content_index: 0, delta: word, sequence_number })
  const response = { id: 'resp_second', status: 'completed', output: [], usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 } }
  const end = frame({ type: 'response.completed', response: { ...response, output_text: 'wrong' }, sequence_number: 9 })
  const created = frame({ type: 'response.created', response, sequence_number: 0 })
  const { out, agrees } = behind(
    [delta('x', 'The ', 3), delta('x', 'quick ', 4)],
    [created, delta('y', 'The quick ', 0), delta('y', 'brown fox', 1), end],
  )
  assert.ok(agrees)
  const [rest, last] = parseEvents(out).map(({ data }) => JSON.parse(data) as Record<string, unknown>)
  assert.deepEqual([rest?.['item_id'], rest?.['delta'], rest?.['sequence_number'], last?.['sequence_number']], ['x', 'brown fox', 5, 6])
  const { output, output_text: said } = (last ?? {})['response'] as { output: object[]; output_text: string }
  assert.equal(said, text)
  const content = [{ type: 'output_text', annotations: [], text }]
  assert.deepEqual(output, [{ status: 'completed', type: 'message', id: 'x', role: 'assistant', content }])
})

test('sources and probabilities of another attempt, a second part, and a text that its deltas did not say do not go with the first', () => {
  const first = responseBegun(words.slice(0, 2), { id: 'first' })
  const place = { item_id: 'msg_second', output_index: 0, content_index: 1 }
  const objects = responseObjects(words, { id: 'second' })
  const at = (type: string): number => objects.findIndex((event) => event['type'] === `response.${type}`)
  const insert = (event: Record<string, unknown>): object[] => objects.toSpliced(at('output_text.done'), 0, event)
  const change = (type: string, more: object): object[] => objects.with(at(type), { ...objects[at(type)], ...more })
  const annotations = [{ type: 'url_citation' }]
  for (const second of [
    insert({ type: 'response.output_text.annotation.added', ...place, annotation: annotations[0] }),
    insert({ type: 'response.content_part.added', ...place, part: { type: 'output_text', text: '' } }),
    insert({ type: 'response.refusal.delta', ...place, delta: 'no' }),
    insert({ type: 'response.output_text.delta', ...place, item_id: 'msg_third', delta: 'no' }),
    insert({ type: 'error', message: 'oops' }),
    insert({ type: 'response.cancelled', response: {} }),
    change('output_text.delta', { logprobs: [{}] }),
    change('content_part.done', { part: { type: 'output_text', text, annotations } }),
    change('output_text.done', { text: `${text}!` }),
    change('output_item.done', { item: messageItem('msg_second', `${text}!`) }),
    change('completed', { response: { output: [messageItem('msg_second', `${text}!`)] } }),
  ])
    assert.ok(!behind(first, second.map(frame)).agrees, JSON.stringify(second))
})

test('a tool before the text is across, an end before it is across, and a failure do not go with the first', () => {
  const first = responseBegun(words.slice(0, 3), { id: 'first' })
  const second = responseEvents(['The qu'], { id: 'second' })
  const [call] = callEvents('second').map((event) => frame({ ...event, output_index: 0 }))
  const failed = frame({ type: 'response.failed', response: { id: 'resp_second', status: 'failed' } })
  for (const events of [
    [...second.slice(0, 2), call ?? ''],
    [...second.slice(0, 5), second.at(-1) ?? ''],
  ])
    assert.deepEqual(behind(first, events), { out: '', agrees: false, goesOn: false })
  assert.ok(!behind(first.slice(0, 1), [...second.slice(0, 3), failed]).agrees)
})

test('signs of life are numbered with all other events, and the beginning is told as far as it was not', () => {
  const alive = frame({ type: 'keepalive', sequence_number: 1 })
  const [created = '', , ...rest] = responseEvents(words, { id: 'second' })
  const queued = frame({ type: 'response.queued', response: { id: 'resp_second', output: [] }, sequence_number: 1 })
  const [begun = ''] = responseEvents(words, { id: 'first' })
  const { out } = behind([begun, alive], [created, queued, alive, ...rest])
  const { types, heads } = heardResponse(begun + alive + out)
  assert.deepEqual(types.slice(0, 5), ['created', 'keepalive', 'queued', 'keepalive', 'output_item.added'])
  assert.deepEqual(heads, ['resp_first model-of-first 5'])
})

test('the answer of a second attempt can be gone on with like that of a first, until something is told that cannot', () => {
  const first = responseBegun(words.slice(0, 1), { id: 'first' })
  const second = responseEvents(words, { id: 'second' })
  assert.ok(behind(first, second.slice(0, 6)).goesOn)
  assert.ok(!behind(first, [...second.slice(0, -3), frame({ type: 'keepalive', sequence_number: 1 })]).goesOn)
})

test('a text that is longer than what is kept for a further attempt is whole at its end', () => {
  const long = Array.from({ length: 1_200 }, (_, n) => `${n} `.padEnd(1_000, 'x'))
  const first = responseBegun(long.slice(0, 2), { id: 'first' })
  const { out, agrees, goesOn } = behind(first, responseEvents(long, { id: 'second' }), undefined, true)
  assert.deepEqual([agrees, goesOn], [true, false])
  assert.equal(heardResponse(first.join('') + out).text, long.join(''))
})

test('a text without any bound ends the stream', () => {
  const long = Array.from({ length: 6 }, () => 'x'.repeat(1024 * 1024))
  assert.ok(!behind(responseBegun(long.slice(0, 1), { id: 'first' }), responseEvents(long, { id: 'second' })).agrees)
})

test('what the client asked for at most stands in the last event, not what another attempt was asked for', () => {
  const withMost = (most: number, event: string): string => event.replaceAll('"store":true', `"store":true,"max_output_tokens":${most}`)
  const first = responseBegun(words.slice(0, 2), { id: 'first' }).map((event) => withMost(100, event))
  const second = responseEvents(words.slice(2), { id: 'second' }).map((event) => withMost(97, event))
  assert.match(behind(first, second, { ...noSeam }).out, /"max_output_tokens":100[^0-9](?!.*"max_output_tokens":97)/s)
})

const withoutIds = (events: readonly string[]): string[] =>
  events.map((event) => event.replaceAll(/"((?:item_)?id)":"(?:msg|fc)_\w+"/g, '"$1":""'))

/** Told with as few events as some servers tell it. */
const itemBehind = (item: object, ...between: readonly Readonly<Record<string, unknown>>[]): Readonly<Record<string, unknown>>[] => [
  { type: 'response.output_item.added', item: { ...item, content: [] } },
  ...between,
  { type: 'response.output_item.done', item },
]
const delta = { type: 'response.output_text.delta', item_id: 'msg_more', content_index: 0, delta: ' And more.' }
const call = { id: 'fc_more', type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{}' }

test('where items have no ids of their own, no other is taken for the message and left out', () => {
  const first = withoutIds(responseBegun(words.slice(0, 2), { id: 'first' }))
  for (const events of [itemBehind(call), itemBehind(messageItem('msg_more', ' And more.'), delta)]) {
    const second = responseEvents(words, { id: 'second', behind: events })
    assert.ok(behind(first, second).agrees)
    assert.ok(!behind(first, withoutIds(second)).agrees)
  }
})

test('what another attempt says in a second message stands in that alone, whatever is known of the first', () => {
  const part = { ...delta, type: 'response.content_part.added', delta: undefined, part: { type: 'output_text', text: '' } }
  const more = itemBehind(messageItem('msg_more', ' And more.'), part, delta)
  const first = withoutIds(responseBegun(words.slice(0, 2), { id: 'first' }))
  const { out } = behind(first, responseEvents(words, { id: 'second', behind: more }))
  const texts = heardResponse(first.join('') + out).last?.output.map(({ content }) => content?.[0]?.text)
  assert.deepEqual(texts, [text, ' And more.'])
})
