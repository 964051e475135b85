import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCredential } from '../../sidecar/proxy/credentials.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import type { Upload } from '../../sidecar/proxy/call.ts'
import { readKeyFile } from '../../sidecar/proxy/keyFile.ts'
import { credential, type Key } from '../../sidecar/proxy/layers/credential.ts'
import { aCall, aReply, script } from '../fixtures/calls.ts'
import { folder } from '../fixtures/mountedSecret.ts'

const bearer = { header: 'authorization', prefix: 'Bearer ' }

/** A key that is `before` until it is looked for again, and `after` from then on. */
function changing(before: string, after: string | undefined): Key & { looks: () => number } {
  let looks = 0
  return {
    current: () => before,
    refresh: async () => {
      looks++
      return after
    },
    looks: () => looks,
  }
}

test('the key goes on in the form that the upstream wants, and above it nothing has changed', async () => {
  const next = script(aReply())
  const call = aCall()
  await credential({ header: 'x-api-key', prefix: '' }, changing('k1', 'k1'))(next)(call)
  assert.deepEqual(next.calls[0]?.headers.slice(-2), ['x-api-key', 'k1'])
  assert.equal(call.headers.includes('k1'), false)
})

test('what the client says under the name of the header, however often and in whatever case, is replaced', async () => {
  const next = script(aReply())
  const call = aCall({ headers: ['X-KEY', 'mine', 'x-kez', 'X-Key', 'x-key', 'mine', 'a', 'b'] })
  await credential({ header: 'X-Key', prefix: '' }, changing('k1', 'k1'))(next)(call)
  assert.deepEqual(next.calls[0]?.headers, ['x-kez', 'X-Key', 'a', 'b', 'X-Key', 'k1'])
})

test('a 401 with a changed key is tried again once with the new one, and its answer dropped', async () => {
  const first = aReply(401)
  const next = script(first, aReply(401), aReply(200))
  const reply = await credential(bearer, changing('old', 'new'))(next)(aCall())
  assert.equal(reply.status, 401, 'the second 401 passes')
  assert.equal(first.dropped(), true)
  assert.deepEqual(
    next.calls.map(({ headers }) => headers.at(-1)),
    ['Bearer old', 'Bearer new'],
  )
})

test('a 401 with the same key, or with none any more, passes as it is', async () => {
  for (const after of ['same', undefined]) {
    const reply = aReply(401)
    const next = script(reply)
    assert.equal(await credential(bearer, changing('same', after))(next)(aCall()), reply)
    assert.equal(reply.dropped(), false)
  }
})

test('any other answer causes no look at the key', async () => {
  for (const status of [200, 400, 403, 429, 500]) {
    const key = changing('old', 'new')
    const next = script(aReply(status))
    assert.equal((await credential(bearer, key)(next)(aCall())).status, status)
    assert.equal(key.looks(), 0)
  }
})

test('an upload that has begun is not tried again, one that has not is', async () => {
  const upload = (untouched: boolean): Upload => ({
    length: undefined,
    untouched: () => untouched,
    flow: () => ({ pause: () => {}, resume: () => {}, close: () => {} }),
  })
  const begun = script(aReply(401))
  assert.equal((await credential(bearer, changing('old', 'new'))(begun)(aCall({ body: upload(false) }))).status, 401)
  const next = script(aReply(401), aReply(200))
  assert.equal((await credential(bearer, changing('old', 'new'))(next)(aCall({ body: upload(true) }))).status, 200)
})

test('on a connection that had to be a new one, the attempt with the new key is counted all the same', async () => {
  const call = aCall({ fresh: true, facts: { attempts: 1 } })
  await credential(bearer, changing('old', 'new'))(script(aReply(401), aReply(200)))(call)
  assert.equal(call.facts.attempts, 2)
})

test('without a key nothing is sent', async () => {
  const key: Key = {
    current: () => {
      throw new SidecarError('no_credential', 'nothing there')
    },
    refresh: async () => undefined,
  }
  const next = script()
  await assert.rejects(credential(bearer, key)(next)(aCall()), { kind: 'no_credential' })
  assert.equal(next.calls.length, 0)
})

test('a thousand calls that are refused at once share one reading of the file', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'one')
  let reads = 0
  const key = await openCredential({
    name: 'main',
    source: { file },
    env: {},
    say: () => {},
    readFile: (path) => {
      reads++
      return readKeyFile(path)
    },
  })
  t.after(key.close)
  assert.equal(reads, 1)
  writeFileSync(file, 'two')
  const statuses = await Promise.all(
    Array.from({ length: 1_000 }, async () => (await credential(bearer, key)(script(aReply(401), aReply(200)))(aCall())).status),
  )
  assert.deepEqual(new Set(statuses), new Set([200]))
  // The watch of the file reads it too, soon after a change: on a busy machine before all calls are over.
  assert.ok([2, 3].includes(reads), `the file was read ${reads} times`)
})
