import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseConfig } from '../../sidecar/config/config.ts'
import { withSettings } from './refusal.ts'

const warningsOf = async (more: Record<string, unknown>): Promise<readonly string[]> =>
  (await parseConfig(withSettings(more), 'x')).warnings.map((line) => line.replace(/^x(?::\d+)* /, ''))

const itself = 'is the only model that these fallbacks are for: name another, for one that fails is not asked in its own place'
const again = 'stands earlier in this list for the same triggers: by then it has failed the call; name another, or leave it out'

const chain = (...models: string[]): object[] => models.map((model) => ({ model }))
const route = (models: string[], ...fallbacks: string[]) => ({
  name: models.join('-').replaceAll('*', 'x'),
  models,
  fallbacks: chain(...fallbacks),
})

test('a fallback to the only model of its route is taken with a warning', async () => {
  assert.deepEqual(await warningsOf({ routes: [route(['m'], 'spare', 'm')] }), [`routes[0].fallbacks[1].model: ${itself}`])
})

test('one that helps another model of the route is not, nor one of two models that name each other', async () => {
  assert.deepEqual(await warningsOf({ routes: [route(['m', 'n'], 'm'), route(['gpt-*'], 'gpt-5')] }), [])
  assert.deepEqual(await warningsOf({ routes: [route(['m'], 'n'), route(['n'], 'm')] }), [])
})

test('where each upstream says what it has, the common list is looked at too, and so are patterns', async () => {
  const upstreams = [{ name: 'a', url: 'https://a.example', models: ['m', 'gpt-5'] }]
  const routing = { fallbacks: chain('m') }
  assert.deepEqual(await warningsOf({ upstreams, routing }), [])
  assert.deepEqual(await warningsOf({ upstreams, routing, routes: [route(['gpt-*'], 'gpt-5')] }), [
    `routing.fallbacks[0].model: ${itself}`,
    `routes[0].fallbacks[0].model: ${itself}`,
  ])
  const any = [{ name: 'a', url: 'https://a.example', models: ['m', '*'] }]
  assert.deepEqual(await warningsOf({ upstreams: any, routing }), [])
  assert.deepEqual(await warningsOf({ routing: { ...routing, defaultModel: 'm' } }), [])
})

test('a route whose own model takes over from one on trial says nothing wrong', async () => {
  assert.deepEqual(await warningsOf({ routes: [{ ...route(['m'], 'm'), canary: { model: 'next' } }] }), [])
})

test('a model that comes again for triggers that it has been named for is warned of, and for others not', async () => {
  const fallbacks = [
    { model: 'a', on: ['error'] },
    { model: 'b' },
    { model: 'a', on: ['rate_limited'] },
    { model: 'a', on: ['rate_limited', 'error'] },
    { model: 'b', on: ['timeout'] },
    { model: 'b', on: ['content_policy'] },
  ]
  assert.deepEqual(await warningsOf({ routing: { fallbacks } }), [
    `routing.fallbacks[3].model: ${again}`,
    `routing.fallbacks[4].model: ${again}`,
  ])
})
