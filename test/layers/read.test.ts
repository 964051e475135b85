import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isUpload, type Call, type Sink, type Upload } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { read } from '../../sidecar/proxy/layers/read.ts'
import { cancel, finish } from '../../sidecar/proxy/life.ts'
import { aCall, aReply, aSink, script } from '../fixtures/calls.ts'

interface Scripted extends Upload {
  readonly sink: () => Sink
  readonly paused: () => boolean
  readonly closedWith: () => SidecarError | undefined
}

function anUpload(length?: number): Scripted {
  let sink: Sink | undefined
  let paused = false
  let closed: SidecarError | undefined
  return {
    length,
    untouched: () => sink === undefined,
    flow: (to) => {
      sink = to
      return {
        pause: () => {
          paused = true
        },
        resume: () => {
          paused = false
        },
        close: (reason) => {
          closed ??= reason
          to.fail(reason)
        },
      }
    },
    sink: () => sink ?? aSink(),
    paused: () => paused,
    closedWith: () => closed,
  }
}

function reading(call: Call, limit = 1_000, bytes = 0) {
  const held = { bytes, limit }
  const next = script(aReply())
  const reply = read({ now: () => 0, jsonBytes: 500, uploadBytes: 800, replayBytes: 100, held })(next)(call)
  reply.catch(() => {})
  return { held, next, reply }
}

const kindOf = (reply: Promise<unknown>): Promise<unknown> =>
  reply.then(
    () => 'passed',
    (err: { kind: string }) => err.kind,
  )

test('a body is kept whole, counted while it is, and read for its model', async () => {
  const body = anUpload()
  const call = aCall({ body })
  const { held, next, reply } = reading(call)
  body.sink().data(Buffer.from('{"model":"m",'))
  body.sink().data(Buffer.from('"stream":true}'))
  body.sink().end()
  await reply
  assert.deepEqual(next.calls[0]?.body, Buffer.from('{"model":"m","stream":true}'))
  assert.deepEqual([call.facts.model, call.facts.stream, held.bytes], ['m', true, 27])
  finish(call.life, undefined)
  assert.equal(held.bytes, 0)
})

test('a stream is asked for uncompressed, so that it can be cut into events', async () => {
  const body = anUpload()
  const { next, reply } = reading(aCall({ body, headers: ['Accept-Encoding', 'gzip', 'x-a', 'b'] }))
  body.sink().data(Buffer.from('{"stream":true}'))
  body.sink().end()
  await reply
  assert.deepEqual(next.calls[0]?.headers, ['x-a', 'b'])
})

test('one that outgrows what is kept goes on as an upload, in order, and is no longer counted', async () => {
  const body = anUpload()
  const call = aCall({ body })
  const { held, next, reply } = reading(call)
  body.sink().data(Buffer.from('a'.repeat(90)))
  assert.equal(body.sink().data(Buffer.from('b'.repeat(20))), false)
  await reply
  const passed = next.calls[0]?.body
  assert.ok(isUpload(passed))
  assert.equal(passed.untouched(), true)
  const sink = aSink()
  passed.flow(sink)
  body.sink().data(Buffer.from('c'))
  body.sink().end()
  assert.equal(sink.text(), `${'a'.repeat(90)}${'b'.repeat(20)}c`)
  assert.deepEqual([sink.ended(), passed.untouched(), held.bytes], [true, false, 0])
})

test('what grows beyond its limit is refused where it does, kept or not', async () => {
  const kept = anUpload()
  const { held, reply } = reading(aCall({ body: kept }))
  kept.sink().data(Buffer.alloc(501))
  assert.equal(await kindOf(reply), 'body_too_large')
  assert.deepEqual([kept.closedWith()?.kind, held.bytes], ['body_too_large', 0])

  const streamed = anUpload()
  const { next } = reading(
    aCall({
      body: streamed,
      wishes: { contentType: 'audio/mpeg', key: undefined, timeoutMs: 0, readTimeoutMs: 0, retries: 0, upstream: '', model: '' },
    }),
  )
  const passed = next.calls[0]?.body
  assert.ok(isUpload(passed))
  const sink = aSink()
  passed.flow(sink)
  assert.equal(streamed.sink().data(Buffer.alloc(800)), true)
  streamed.sink().data(Buffer.alloc(1))
  assert.equal(sink.failure()?.kind, 'body_too_large')
})

test('a declared length is judged before a byte is read', async () => {
  assert.equal(await kindOf(reading(aCall({ body: anUpload(501) })).reply), 'body_too_large')
  assert.equal(await kindOf(reading(aCall({ body: anUpload(90) }), 80).reply), 'body_too_large')
  assert.equal(await kindOf(reading(aCall({ body: anUpload(90) }), 100, 20).reply), 'proxy_overloaded')
})

test('a call that is given up while its body comes lets go of it', async () => {
  const body = anUpload()
  const call = aCall({ body })
  const { held, reply } = reading(call)
  body.sink().data(Buffer.from('half'))
  cancel(call.life, new SidecarError('client_gone', 'gone'))
  assert.equal(await kindOf(reply), 'client_gone')
  assert.deepEqual([body.closedWith()?.kind, held.bytes], ['client_gone', 0])
})
