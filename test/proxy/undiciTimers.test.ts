import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { paced, provider, testCertificates } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { openStream } from '../fixtures/streamClient.ts'
import { post, wireClient } from '../fixtures/wireClient.ts'

// undici gives up after five minutes without a head, and after five without a byte of the body, on timers of its own. A model may think for
// longer, and how long is for the config to say. No test can wait for that; but undici's coarse clock can be put forward.

type Clock = { readonly tick: (ms: number) => void }

const clock = createRequire(import.meta.url)('undici/lib/util/timers.js') as Clock

const anHour = 3_600_000

/** Twice: a timer that was set since the last look begins to run with the first. */
function putForward(): void {
  clock.tick(anHour)
  clock.tick(anHour)
}

const { ca, server } = testCertificates()
const tls = { cert: server.cert, key: server.key }

for (const [how, options, document] of [
  ['', {}, {}],
  [' over TLS', { tls }, { network: { ca: ca.certPath } }],
] as const) {
  test(`undici sets no bound on the wait for a head, nor on a silence in the body${how}`, async (t) => {
    const begun = Promise.withResolvers<void>()
    const body = paced({ 'content-type': 'application/json' })
    const upstream = await provider(t, (exchange) => begun.promise.then(() => body(exchange)), options)
    const sidecar = await startSidecar(t, upstream.url, document)
    const client = await wireClient(t, sidecar.port, post('{}', '/v1/x', 'connection: close'))
    await (
      await upstream.request(0)
    ).whole
    putForward()
    begun.resolve()
    await body.sendBytes('{"half":')
    await client.until('half')
    putForward()
    await body.sendBytes('"whole"}')
    await body.end()
    assert.match((await client.closed).text, /^HTTP\/1\.1 200 [^]*whole/)
    assert.equal((await sidecar.callLine(0))['end'], 'complete')
  })

  test(`nor on a stream${how}`, async (t) => {
    const stream = paced()
    const upstream = await provider(t, stream, options)
    const sidecar = await startSidecar(t, upstream.url, document)
    const opened = openStream(t, sidecar.port)
    await stream.send('{"choices":[]}')
    const client = await opened
    await client.until('choices')
    putForward()
    await stream.send('[DONE]')
    await stream.end()
    assert.match(await client.whole, /\[DONE\]\n\n$/)
  })
}
