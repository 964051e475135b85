import assert from 'node:assert/strict'
import crypto, { hash } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { test, type TestContext } from 'node:test'
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

/** The sizes of what `timingSafeEqual` compares from here on; the comparison stays Node's own. */
function comparisons(t: TestContext): number[][] {
  const seen: number[][] = []
  const { timingSafeEqual } = crypto
  crypto.timingSafeEqual = (one, other) => {
    seen.push([one.byteLength, other.byteLength])
    return timingSafeEqual(one, other)
  }
  syncBuiltinESMExports()
  t.after(() => {
    crypto.timingSafeEqual = timingSafeEqual
    syncBuiltinESMExports()
  })
  return seen
}

// A clock could not tell on a busy machine. What can be seen is what makes the time constant: the same comparisons whoever asks.
test('whichever key is shown, each of the clients is compared with it in constant time, hash with hash', async (t) => {
  const seen = comparisons(t)
  const clients = ['first', 'second', 'third'].map((name) => ({ name, sha256: hash('sha256', name) }))
  for (const key of ['first', 'second', 'third', 'nobody', '', 'first'.repeat(1_000)]) {
    const naming = identify(() => clients)(script(aReply()))(showing(key))
    await naming.catch((err: unknown) => assert.equal((err as { kind?: unknown }).kind, 'unauthorized'))
    assert.deepEqual(
      seen.splice(0),
      Array.from(clients, () => [32, 32]),
      key,
    )
  }
})
