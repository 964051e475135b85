import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseConfig } from '../../sidecar/config/config.ts'
import { refusalOf, withSettings } from './refusal.ts'

const warningsOf = async (more: Record<string, unknown>): Promise<readonly string[]> =>
  (await parseConfig(withSettings(more), 'x')).warnings.map((line) => line.replace(/^x(?::\d+)* /, ''))

const isAlias = 'leads to an alias, and only the name that a client gives is looked up there: upstreams are asked for this very name'

test('an alias of an alias is taken with a warning, and so is one that nobody says but Outrider itself', async () => {
  const routing = {
    aliases: { fast: 'small', quick: 'fast' },
    priority: { models: { high: 'fast' } },
    fallbacks: [{ model: 'small' }, { model: 'quick' }],
    defaultModel: 'fast',
  }
  const places = ['routing.aliases.quick', 'routing.priority.models.high', 'routing.fallbacks[1].model']
  assert.deepEqual(
    await warningsOf({ routing }),
    places.map((place) => `${place}: ${isAlias}`),
  )
})

test('a route behind one that takes all of its models is taken with a warning', async () => {
  const warned = (...patterns: string[][]): Promise<readonly string[]> =>
    warningsOf({ routes: patterns.map((models, at) => ({ name: `r${at}`, models })) })
  assert.deepEqual(await warned(['gpt-*'], ['gpt-5', 'gpt-4*']), [
    'routes[1].models: are all taken by routes before it: the first that fits counts',
  ])
  assert.deepEqual(await warned(['gpt-5'], ['gpt-*'], ['*']), [])
  assert.deepEqual(await warned(['gpt-5'], ['gpt-5', 'gpt-6']), [])
})

test('a model that no upstream has is warned of wherever calls are sent to it, if each upstream says what it has', async () => {
  const upstreams = [
    { name: 'a', url: 'https://a.example', models: ['gpt-*'] },
    { name: 'b', url: 'https://b.example', models: ['small'] },
  ]
  const routing = { aliases: { fast: 'smal', quick: 'small' }, fallbacks: [{ model: 'gpt-5' }, { model: 'spare' }], defaultModel: 'big' }
  const routes = [{ name: 'r', models: ['gpt-5'], fallbacks: [{ model: 'other' }], canary: { model: 'next' } }]
  const near = new Map([['routing.aliases.fast', '; did you mean "small"?']])
  const places = [
    'routing.aliases.fast',
    'routing.fallbacks[1].model',
    'routes[0].fallbacks[0].model',
    'routes[0].canary.model',
    'routing.defaultModel',
  ]
  assert.deepEqual(
    [...(await warningsOf({ upstreams, routing, routes }))].toSorted(),
    places.map((place) => `${place}: is in the models of no upstream: calls for it find none${near.get(place) ?? ''}`).toSorted(),
  )
  const open = [...upstreams, { name: 'c', url: 'https://c.example' }]
  assert.deepEqual(await warningsOf({ upstreams: open, routing, routes }), [])
  assert.deepEqual(await warningsOf({ upstreams, routing: { aliases: { quick: 'small' }, defaultModel: 'quick' } }), [])
})

test('a fallback that is a mere name is refused with how it is written', async () => {
  assert.deepEqual(await refusalOf(withSettings({ routing: { fallbacks: ['spare'] } })), [
    'routing.fallbacks[0]: must be a mapping, such as { model: gpt-4o-mini }, not "spare"',
  ])
})
