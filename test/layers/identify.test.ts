import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { identify, type Client } from '../../sidecar/proxy/layers/identify.ts'
import { aCall, aReply, script } from '../fixtures/calls.ts'

const shop: Client = { name: 'shop', sha256: hash('sha256', 'key-of-shop') }
const blog: Client = { name: 'blog', sha256: hash('sha256', 'key-of-blog') }

const showing = (key: string | undefined) => aCall({ wishes: { ...aCall().wishes, key } })

test('a client is named by its key', async () => {
  for (const [key, name] of [
    ['key-of-shop', 'shop'],
    ['key-of-blog', 'blog'],
  ] as const) {
    const call = showing(key)
    await identify(() => [shop, blog])(script(aReply()))(call)
    assert.equal(call.facts.client, name)
  }
})

test('no key, a wrong one, the beginning of one and the hash of one are refused, and nothing goes on', async () => {
  for (const key of [undefined, '', 'key-of-sho', 'key-of-shop ', shop.sha256]) {
    const next = script()
    const call = showing(key)
    await assert.rejects(identify(() => [shop, blog])(next)(call), { kind: 'unauthorized' })
    assert.equal(next.calls.length, 0)
    assert.equal(call.facts.client, '')
  }
})

test('the refusal holds neither the key that was shown nor the name of a client', async () => {
  const err = await identify(() => [shop])(script())(showing('key-of-eve')).catch((thrown: unknown) => thrown as Error)
  assert(err instanceof Error)
  assert.doesNotMatch(err.message, /eve|shop/)
})

test('where no clients are configured, everyone is welcome; where the list is empty, nobody is', async () => {
  await identify(() => undefined)(script(aReply()))(showing(undefined))
  await assert.rejects(identify(() => [])(script())(showing('key-of-shop')), { kind: 'unauthorized' })
})

test('the list is the one of the moment', async () => {
  let list: readonly Client[] = [shop]
  const layer = identify(() => list)
  list = [blog]
  await assert.rejects(layer(script())(showing('key-of-shop')), { kind: 'unauthorized' })
  await layer(script(aReply()))(showing('key-of-blog'))
})
