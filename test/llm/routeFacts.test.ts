import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { routeFacts, type RouteFacts } from '../../sidecar/proxy/llm/routeFacts.ts'

const of = (value: unknown): RouteFacts => routeFacts(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))

test('what choosing acts on is read at the top level', () => {
  const facts = of({
    model: 'm',
    n: 3,
    max_completion_tokens: 500,
    tools: [{ type: 'function' }],
    prompt_cache_key: 'cache "a"',
    user: 'u',
    previous_response_id: 'resp_1',
    conversation: 'conv_1',
    messages: [{ role: 'user', content: 'hi', n: 9, user: 'x' }],
  })
  assert.equal(facts.n, 3)
  assert.equal(facts.maxTokens, 500)
  assert.equal(facts.tools, true)
  assert.equal(facts.promptCacheKey, 'cache "a"')
  assert.equal(facts.user, 'u')
  assert.equal(facts.previousResponse, 'resp_1')
  assert.equal(facts.conversation, 'conv_1')
})

test('what is not said is nothing', () => {
  for (const value of ['', 'garbage', '[]', '{}', '{"n":"x","max_tokens":-1,"tools":[ ],"user":5,"conversation":null}']) {
    const { promptTokens: _, ...facts } = of(value)
    assert.deepEqual(facts, {
      n: 1,
      tools: false,
      maxTokens: 0,
      promptCacheKey: '',
      user: '',
      promptHash: 0,
      previousResponse: '',
      conversation: '',
    })
  }
})

test('a conversation may come as an object, and the safety identifier counts before the user', () => {
  assert.equal(of({ conversation: { id: 'conv_2' } }).conversation, 'conv_2')
  assert.equal(of({ safety_identifier: 's', user: 'u' }).user, 's')
})

test('calls that begin alike have the same hash, whatever else they say', () => {
  const long = 'word '.repeat(400)
  const hash = (system: string, content: string, extra = {}): number =>
    of({
      ...extra,
      messages: [
        { role: 'system', content: system },
        { role: 'user', content },
      ],
    }).promptHash
  assert.equal(hash(long, 'one'), hash(long, 'two', { temperature: 1 }))
  assert.notEqual(hash('short', 'one'), hash('short', 'two'))
  assert.notEqual(hash(`a${long}`, 'one'), hash(`b${long}`, 'one'))
  const anthropic = (system: string, content: string): number => of({ messages: [{ role: 'user', content }], system }).promptHash
  assert.equal(anthropic(long, 'one'), anthropic(long, 'two'))
  assert.notEqual(anthropic('short', 'one'), anthropic('short', 'two'))
})

test('a token is about four bytes, and a picture is not its letters', () => {
  assert.equal(of({ messages: 'x'.repeat(4_000) }).promptTokens, Math.ceil(4_015 / 4))
  const picture = 'A'.repeat(4_000_000)
  const tokens = [
    of({ messages: [{ content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } }] }] }),
    of({ messages: [{ content: [{ type: 'image', source: { type: 'base64', data: picture } }] }] }),
    of({ messages: [{ content: [{ type: 'x', data: `data:image/png;base64,${picture}` }] }] }),
  ]
  for (const { promptTokens } of tokens) assert.ok(promptTokens > 1_000 && promptTokens < 1_100, String(promptTokens))
})

test('any object is read as JSON.parse reads it', () => {
  const name = fc.constantFrom('user', 'n', 'prompt_cache_key', 'previous_response_id', 'messages', 'tools')
  fc.assert(
    fc.property(fc.dictionary(name, fc.oneof(fc.string(), fc.nat(10), fc.jsonValue())), (value) => {
      const facts = of(value)
      const said = JSON.parse(JSON.stringify(value)) as Record<string, unknown>
      for (const [field, fact] of [
        ['user', facts.user],
        ['prompt_cache_key', facts.promptCacheKey],
        ['previous_response_id', facts.previousResponse],
      ] as const) {
        assert.equal(fact, typeof said[field] === 'string' ? said[field] : '')
      }
      assert.equal(facts.tools, Array.isArray(said['tools']) && said['tools'].length > 0)
      assert.ok(facts.promptTokens >= 0)
    }),
    { numRuns: 3_000 },
  )
})
