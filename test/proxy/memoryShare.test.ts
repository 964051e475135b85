import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryCgroup, noMemoryCgroup } from '../fixtures/memoryCgroup.ts'
import { provider } from '../fixtures/provider.ts'
import { chatHead, rawClient, repliesIn } from '../fixtures/rawClient.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'

const MiB = 2 ** 20

for (const [container, share] of [
  [400, 160],
  [600, 240],
] as const) {
  test(`in a container with ${container} MiB, bodies may hold ${share} MiB`, { skip: noMemoryCgroup() }, async (t) => {
    const upstream = await provider(t, [])
    const before = memoryCgroup(t, container * MiB)
    const outrider = await runOutrider(t, upstream.url, { limits: { jsonBody: '2GiB', replayBody: '2GiB' } }, { before })
    const client = await rawClient(t, outrider.port)
    // Refused by what it says of itself: not a byte of the body is sent.
    client.send(`${chatHead}Content-Length: ${share * MiB + 1}\r\n\r\n`)
    const [refused] = repliesIn(await client.closed)
    assert.equal(refused?.header('x-outrider-error'), 'body_too_large')
    assert.match(refused.body, new RegExp(`larger than ${share * MiB} bytes, the most that limits.memory allows`))
    const next = await rawClient(t, outrider.port)
    next.send(`${chatHead}Expect: 100-continue\r\nContent-Length: ${share * MiB}\r\n\r\n`)
    await next.until('HTTP/1.1 100 Continue\r\n\r\n')
    next.socket.destroy()
    assert.equal((await outrider.callLine(1))['error'], 'client_gone')
  })
}
