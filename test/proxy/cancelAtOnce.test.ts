import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { provider, stall, stallAfter } from '../fixtures/provider.ts'
import { rawClient } from '../fixtures/rawClient.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'

for (const [what, step, stream] of [
  ['an answer', stall(), false],
  ['a stream before its first event', stall(), true],
  ['a stream in the middle', stallAfter('{"choices":[]}'), true],
] as const) {
  test(`the turn that sees the client leave is the last of its attempt: ${what}`, async (t) => {
    const upstream = await provider(t, step)
    const sidecar = await startSidecar(t, upstream.url)
    const attempt = Promise.withResolvers<Socket>()
    const left = Promise.withResolvers<boolean>()
    const onAttempt = (message: unknown): void => {
      attempt.resolve((message as { socket: Socket }).socket)
    }
    const onCall = (message: unknown): void => {
      const { socket, response } = message as { socket: Socket; response: ServerResponse }
      // The provider of the test is a server of the same process.
      if (socket.localPort !== sidecar.port) return
      response.once('close', () => {
        setImmediate(() => {
          attempt.promise.then(({ destroyed }) => left.resolve(destroyed), left.reject)
        })
      })
    }
    subscribe('undici:client:sendHeaders', onAttempt)
    subscribe('http.server.request.start', onCall)
    t.after(() => {
      unsubscribe('undici:client:sendHeaders', onAttempt)
      unsubscribe('http.server.request.start', onCall)
    })
    const client = await rawClient(t, sidecar.port)
    const body = JSON.stringify({ stream })
    client.send(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    const seen = await upstream.request(0)
    if (what.endsWith('middle')) await client.until('choices')
    client.socket.destroy()
    assert.equal(await left.promise, true)
    await seen.closed
  })
}
