import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { streamText } from 'ai'
import OpenAI from 'openai'
import { breaksAfter, patientSettings } from '../fixtures/brokenStreams.ts'
import { callEvents, responseBegun, responseEvents, type ResponseOptions } from '../fixtures/brokenResponses.ts'
import { cutting, eachCut, sseBytes, type Step } from '../fixtures/provider.ts'
import { startUpstreams } from '../fixtures/startUpstreams.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { placeholder } from './behindSidecar.ts'

const words = ['The ', 'quick ', 'brown ', 'fox']
const text = words.join('')
const asked = { model: 'm', input: 'hi' }
const first = { id: 'first' }
const goesOn = { continues: 'continue_final_message' }

const broken = (count: number, more: Partial<ResponseOptions> = {}): Step =>
  breaksAfter(...responseBegun(words.slice(0, count), { ...first, ...more }))
const whole = (from: number, more: Partial<ResponseOptions> = {}): Step =>
  sseBytes(...responseEvents(words.slice(from), { id: 'second', ...more }))

const cases: readonly (readonly [name: string, steps: readonly Step[], own: Document, ids: readonly string[]])[] = [
  ['said again', [broken(2), whole(0)], {}, ['msg_first']],
  ['continued', [broken(2), whole(2)], goesOn, ['msg_first']],
  ['continued by one whose last event has other ids', [broken(2), whole(2, { lastId: 'other' })], goesOn, ['msg_first']],
  ['said again by one that thinks', [broken(2), whole(0, { thought: 'Hm.' })], {}, ['msg_first']],
  ['begun by one that thinks', [broken(3, { thought: 'Hm.' }), whole(0, { thought: 'Well.' })], {}, ['rs_first', 'msg_first']],
  ['cut before its text', [broken(0), whole(0)], {}, ['msg_first']],
  ['cut before its message', [breaksAfter(...responseBegun([], first).slice(0, 1)), whole(0)], {}, ['msg_second']],
  ['continued by one that then calls a tool', [broken(2), whole(2, { behind: callEvents('second') })], goesOn, ['msg_first', 'fc_second']],
  ['cut twice', [broken(1), breaksAfter(...responseBegun(['quick '], { id: 'second' })), whole(2)], goesOn, ['msg_first']],
]

for (const [name, steps, own, ids] of cases) {
  test(`openai: the final response is whole where the stream is ${name}`, async (t) => {
    const { sidecar } = await startUpstreams(
      t,
      steps,
      patientSettings,
      steps.map(() => own),
    )
    const openai = new OpenAI({ logLevel: 'off', baseURL: sidecar.url, apiKey: placeholder, maxRetries: 0 })
    const numbers: number[] = []
    // It puts the events together, and throws where one does not fit to those before.
    const stream = openai.responses.stream(asked).on('event', ({ sequence_number: number }) => numbers.push(number))
    const final = await stream.finalResponse()
    assert.deepEqual([final.id, final.status, final.output_text], ['resp_first', 'completed', text])
    assert.deepEqual(
      final.output.map(({ id }) => id),
      ids,
    )
    assert.deepEqual(
      numbers,
      numbers.map((_, at) => at),
    )
    assert.equal((await sidecar.callLine(0))['resumed'], steps.length - 1)
  })
}

eachCut('openai: the pieces of a response that was cut are its text, once', async (t, cut) => {
  const { sidecar } = await startUpstreams(t, [cutting(cut, broken(2)), cutting(cut, whole(0))], patientSettings)
  const openai = new OpenAI({ logLevel: 'off', baseURL: sidecar.url, apiKey: placeholder, maxRetries: 0 })
  let said = ''
  let last = ''
  for await (const event of await openai.responses.create({ ...asked, stream: true })) {
    if (event.type === 'response.output_text.delta') said += event.delta
    last = event.type
  }
  assert.deepEqual([said, last], [text, 'response.completed'])
})

test('vercel: a response that was cut is one text', async (t) => {
  for (const [name, steps, own] of cases) {
    const { sidecar } = await startUpstreams(
      t,
      steps,
      patientSettings,
      steps.map(() => own),
    )
    const model = createOpenAI({ baseURL: sidecar.url, apiKey: placeholder }).responses('m')
    let said = ''
    for await (const part of streamText({ model, prompt: 'hi', maxRetries: 0 }).stream) {
      if (part.type === 'error') throw new Error(name, { cause: part.error })
      if (part.type === 'text-delta') said += part.text
    }
    assert.equal(said, text, name)
  }
})
