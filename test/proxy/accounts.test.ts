import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answers, chat, type Step } from '../fixtures/provider.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { ask, startUpstreams } from '../fixtures/startUpstreams.ts'

interface Said {
  readonly upstreams: readonly { readonly state: string; readonly accounts?: readonly object[] }[]
}

const saidAt = async (url: string): Promise<string> => (await fetch(url)).text()

const first = (text: string): Said['upstreams'][number] | undefined => (JSON.parse(text) as Said).upstreams[0]

const byKey: Step = (exchange) => {
  const key = exchange.req.headers.authorization
  if (key === 'Bearer sk-test-poor') return answers(402)(exchange)
  return (key === 'Bearer sk-test-old' ? answers(401) : chat('hi'))(exchange)
}

const credentials = {
  poor: { value: 'sk-test-poor' },
  old: { value: 'sk-test-old' },
  rich: { value: 'sk-test-rich' },
  lost: { env: 'LOST' },
}

// That one of two keys was out stood in a line of the log, hours ago.
test('of an upstream with several keys the state of each is told by its name, and no key is', async (t) => {
  const document: Document = { credentials, routing: { strategy: 'round_robin' }, control: { off: false, port: 0 } }
  const { sidecar } = await startUpstreams(t, [byKey], document, [{ credential: undefined, credentials: ['poor', 'old', 'rich', 'lost'] }])
  const before = first(await saidAt(`${sidecar.origin}/health`))
  assert.deepEqual(before?.accounts, [
    { name: 'poor', state: 'healthy' },
    { name: 'old', state: 'healthy' },
    { name: 'rich', state: 'healthy' },
    { name: 'lost', state: 'auth_failed', problem: 'no_credential' },
  ])
  for (let n = 0; n < 8; n++) assert.equal((await ask(sidecar)).status, 200)
  for (const url of [`${sidecar.origin}/health`, `${sidecar.url}/stats`, `http://localhost:${sidecar.proxy.controlPort}/status`]) {
    const text = await saidAt(url)
    assert.equal(first(text)?.state, 'healthy', 'one is enough')
    assert.deepEqual(
      first(text)?.accounts,
      [
        { name: 'poor', state: 'exhausted' },
        { name: 'old', state: 'auth_failed' },
        { name: 'rich', state: 'healthy' },
        { name: 'lost', state: 'auth_failed', problem: 'no_credential' },
      ],
      url,
    )
    assert.doesNotMatch(text, /sk-test/)
  }
})

test('of one with a single key there is nothing to tell apart', async (t) => {
  const { sidecar } = await startUpstreams(t, [answers(402)])
  await ask(sidecar)
  for (const url of [`${sidecar.origin}/health`, `${sidecar.url}/stats`]) {
    const said = first(await saidAt(url))
    assert.deepEqual([said?.state, said !== undefined && 'accounts' in said], ['exhausted', false])
  }
})
