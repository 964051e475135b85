import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../sidecar/config/config.ts'
import { namedModels } from '../../sidecar/observe/namedModels.ts'

test('a model is named wherever a config speaks of it, and a pattern names none', async () => {
  const upstream = { name: 'up', url: 'https://api.example/v1', models: ['served', 'gpt-*'], modelNames: { called: 'their-own-name' } }
  const { config } = await parseConfig(
    JSON.stringify({
      upstreams: [upstream, { name: 'new', url: 'https://new.example/v1' }],
      models: [{ name: 'priced' }],
      routing: {
        defaultModel: 'default',
        aliases: { quick: 'small' },
        priority: { models: { high: 'urgent' } },
        overrides: { models: ['wished', 'any-*'] },
        fallbacks: [{ model: 'spare' }],
      },
      routes: [{ name: 'r', models: ['routed', '*'], fallbacks: [{ model: 'second' }], canary: { model: 'next', upstreams: ['new'] } }],
    }),
    'x',
  )
  const names = ['called', 'default', 'next', 'priced', 'quick', 'routed', 'second', 'served', 'small', 'spare', 'urgent', 'wished']
  assert.deepEqual([...namedModels(config)].toSorted(), names)
})
