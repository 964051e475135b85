import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { features, type Feature } from '../../sidecar/config/modelSettings.ts'
import { featuresOf } from '../../sidecar/proxy/llm/features.ts'

const user = { role: 'user', content: 'Hi' }
const assistant = { role: 'assistant', content: '{' }
const said = (...content: object[]): object => ({ messages: [{ role: 'user', content }] })

const cases: readonly (readonly [object, readonly Feature[]])[] = [
  [{ model: 'm', messages: [user] }, []],
  [{ messages: [user], tools: [], functions: [], stream: false, n: 1, logprobs: false, reasoning_effort: null, thinking: null }, []],
  [{ tools: [{ type: 'function' }] }, ['tools']],
  [{ functions: [{ name: 'f' }] }, ['tools']],
  [{ messages: [user, assistant] }, ['prefill']],
  [{ messages: [user, assistant, user] }, []],
  [{ input: [user, assistant] }, ['prefill']],
  [{ input: 'Hi' }, []],
  [said({ type: 'text', text: '{"type":"image_url"}' }), []],
  [said({ type: 'text', text: 'image_url' }, { type: 'image_url', image_url: { url: 'https://a' } }), ['images']],
  [said({ type: 'image', source: {} }), ['images']],
  [{ input: [{ role: 'user', content: [{ type: 'input_image' }, { type: 'input_file' }] }] }, ['images', 'files']],
  // Anthropic's tools may answer with pictures.
  [said({ type: 'tool_result', content: [{ type: 'image' }] }), ['images']],
  [said({ type: 'input_audio' }), ['audio']],
  [{ modalities: ['text', 'audio'] }, ['audio']],
  [said({ type: 'file' }), ['files']],
  [said({ type: 'document' }), ['files']],
  [{ response_format: { type: 'json_schema' } }, ['schema']],
  [{ response_format: { type: 'json_object' } }, []],
  [{ text: { format: { type: 'json_schema' } } }, ['schema']],
  [{ output_config: { format: { type: 'json_schema' } } }, ['schema']],
  [{ stream: true }, ['stream']],
  [{ n: 2 }, ['choices']],
  [{ logprobs: true, top_logprobs: 2 }, ['logprobs']],
  [{ prompt: 'a', logprobs: 0 }, ['logprobs']],
  [{ reasoning_effort: 'low' }, ['reasoning']],
  [{ thinking: { type: 'enabled' } }, ['reasoning']],
]

for (const [body, wanted] of cases) {
  test(`${JSON.stringify(body)} asks for ${wanted.length === 0 ? 'nothing that a model may lack' : wanted.join(' and ')}`, () => {
    assert.deepEqual([...featuresOf(Buffer.from(JSON.stringify(body)))].toSorted(), wanted.toSorted())
  })
}

test('every feature that a config can name is one that can be told', () => {
  const told = new Set(cases.flatMap(([, wanted]) => wanted))
  assert.deepEqual(
    features.filter((feature) => !told.has(feature)),
    [],
  )
})

test('no body makes the look at it fail', () => {
  const body = fc.oneof(
    fc.json(),
    fc.json().map((text) => `{"messages":${text}}`),
    fc.json().map((text) => `{"tools":${text}`),
    fc.string(),
  )
  fc.assert(
    fc.property(body, (text) => featuresOf(Buffer.from(text)).size >= 0),
    { numRuns: 2_000 },
  )
})
