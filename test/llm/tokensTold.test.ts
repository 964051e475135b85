import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { tokensTold, type TokensTold } from '../../sidecar/proxy/llm/tokensTold.ts'

const nothing = {
  prompt: -1,
  input: -1,
  completion: -1,
  output: -1,
  cached: -1,
  reasoning: -1,
  cacheHit: -1,
  cacheRead: -1,
  cacheWrite: -1,
}
const names: Readonly<Record<string, keyof TokensTold>> = {
  prompt_tokens: 'prompt',
  input_tokens: 'input',
  completion_tokens: 'completion',
  output_tokens: 'output',
  prompt_cache_hit_tokens: 'cacheHit',
  cache_read_input_tokens: 'cacheRead',
  cache_creation_input_tokens: 'cacheWrite',
}
const detailNames: Readonly<Record<string, keyof TokensTold>> = { cached_tokens: 'cached', reasoning_tokens: 'reasoning' }

const isCount = (value: unknown): value is number => typeof value === 'number' && /^\d{1,15}$/.test(JSON.stringify(value))

/** The same by JSON's own parser. */
function told(usage: Readonly<Record<string, unknown>>): TokensTold {
  const found: TokensTold = { ...nothing }
  for (const [name, value] of Object.entries(usage)) {
    const as = names[name]
    if (as !== undefined && isCount(value)) found[as] = value
    if (!name.endsWith('_tokens_details') || typeof value !== 'object' || value === null || Array.isArray(value)) continue
    for (const [detail, count] of Object.entries(value)) {
      const under = detailNames[detail]
      if (under !== undefined && isCount(count)) found[under] = count
    }
  }
  return found
}

const count = fc.oneof(
  { weight: 6, arbitrary: fc.nat(1_000_000) },
  fc.constantFrom(-1, 1.5, 1e21, 1e-7, 123456789012345, null, '12', true, [], {}),
)
const anyName = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Object.keys(names), ...Object.keys(detailNames)) },
  fc.constantFrom('total_tokens', 'prompt_tokenz', '"prompt_tokens"', 'cost', '\\', 'a:1', '{', '}'),
)
const leaf = fc.oneof(
  { weight: 8, arbitrary: count },
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('"prompt_tokens":7', '}', '\\"', '{"input_tokens":9}'),
)
const details = fc.dictionary(anyName, leaf, { maxKeys: 4 })
const usageObject = fc.dictionary(
  fc.oneof({ weight: 5, arbitrary: anyName }, fc.constantFrom('prompt_tokens_details', 'output_tokens_details', 'server_tool_use')),
  fc.oneof({ weight: 4, arbitrary: leaf }, details, fc.array(details, { maxLength: 2 }), fc.record({ prompt_tokens_details: details })),
  { maxKeys: 8 },
)

test('of whatever object, the counts are those that a parser of JSON would find', () => {
  fc.assert(
    fc.property(usageObject, fc.constantFrom(undefined, 1, '\t'), fc.constantFrom('', ' ', '\n  '), (usage, indent, space) => {
      const text = `"usage"${space}:${space}${JSON.stringify(usage, undefined, indent)},"more":{"prompt_tokens":5}}`
      assert.deepEqual(tokensTold(Buffer.from(text), '"usage"'.length), told(usage))
    }),
    { numRuns: 2_000 },
  )
})

test('what is no object, or has no end, tells nothing', () => {
  for (const text of [
    '',
    ':',
    ': null',
    ': 5',
    ': "{}"',
    ': [{"prompt_tokens":1}]',
    ': {',
    ': {"prompt_tokens":1',
    ': {"prompt_tokens',
    '{}',
    ', {}',
  ])
    assert.equal(tokensTold(Buffer.from(text), 0), undefined, text)
  assert.equal(tokensTold(Buffer.from(`:{"a":"${'x'.repeat(9_000)}","prompt_tokens":1}`), 0), undefined, 'its end is too far away')
})
