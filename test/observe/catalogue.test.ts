import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogue } from '../../sidecar/observe/catalogue.ts'
import { actions, kinds } from '../../sidecar/proxy/errors.ts'
import { answers, provider } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

test('every kind of error says in sentences what happened and what to do', () => {
  for (const [name, { meaning }] of Object.entries(kinds)) assert.match(meaning, /^[A-Z].*\.$/, name)
  for (const [name, action] of Object.entries(actions)) assert.match(action, /^[A-Z].*\.$/, name)
})

test('a sidecar tells exactly the metrics of the catalogue, with their types and no label besides theirs', async (t) => {
  const upstream = await provider(t, answers(200, { model: 'm', usage: { prompt_tokens: 1, completion_tokens: 1 } }))
  const sidecar = await startSidecar(t, upstream.url)
  await (await fetch(`${sidecar.url}/chat/completions`, { method: 'POST', body: '{"model":"m"}' })).text()
  await sidecar.callLine(0)
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
  assert.deepEqual(
    types.toSorted(),
    Object.entries(catalogue)
      .map(([name, { type }]) => `${name} ${type}`)
      .toSorted(),
  )
  for (const [, name = '', labels = ''] of text.matchAll(/^([a-z_]+?)(?:_bucket|_sum|_count)?\{(.*?)\} /gm)) {
    const known: readonly string[] = catalogue[name as keyof typeof catalogue].labels
    for (const [, label = ''] of labels.matchAll(/([a-z_]+)="/g)) assert.ok(label === 'le' || known.includes(label), `${name}: ${label}`)
  }
})
