import assert from 'node:assert/strict'
import { test } from 'node:test'
import timers from 'node:timers/promises'
import { eachCut, provider, type Step } from '../fixtures/provider.ts'
import { startSidecar } from '../fixtures/startSidecar.ts'
import { openStream } from '../fixtures/streamClient.ts'
import { doneText } from '../fixtures/streams.ts'

const eventBytes = 16 * 1024
const event = (n: number): string => `data: ${JSON.stringify({ n, fill: 'x'.repeat(eventBytes) })}\n\n`

/** Sends as many events as it is let, and counts them. */
function endless(events: number): { step: Step; sent: () => number; closed: Promise<void> } {
  let sent = 0
  const closed = Promise.withResolvers<void>()
  const step: Step = async ({ body, res, leave }) => {
    await body
    let wake = (): void => {}
    res.on('drain', () => {
      wake()
    })
    res.on('close', () => {
      closed.resolve()
      wake()
    })
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    while (sent < events && !res.destroyed) {
      if (res.write(event(sent++))) continue
      await new Promise<void>((done) => {
        wake = done
      })
    }
    if (res.destroyed) return leave()
    res.end(doneText)
  }
  return { step, sent: () => sent, closed: closed.promise }
}

/** Waits until nothing has been sent for a while. That can only be wrong in favour of the code. */
async function stalled(sent: () => number): Promise<number> {
  for (let before = -1; before !== sent();) {
    before = sent()
    await timers.setTimeout(400)
  }
  return sent()
}

test('a client that does not read makes the upstream wait, costs little, is not blamed for silence, and gets all in order', async (t) => {
  const total = 6_000
  const upstreamSends = endless(total)
  const upstream = await provider(t, [upstreamSends.step])
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { idle: '300ms' } })
  global.gc?.()
  const before = process.memoryUsage()
  const client = await openStream(t, sidecar.port, { paused: true })
  const sent = await stalled(upstreamSends.sent)
  assert.ok(sent < total / 2, `${sent} of ${total} events were taken although nobody reads`)
  const { arrayBuffers } = process.memoryUsage()
  const grown = arrayBuffers - before.arrayBuffers
  assert.ok(grown < 16 * 2 ** 20, `${Math.round(grown / 2 ** 20)} MiB more in memory`)
  // Longer than the longest silence allowed.
  await timers.setTimeout(700)
  let n = 0
  let rest = ''
  client.response.on('data', (chunk: Buffer) => {
    rest += chunk.toString('latin1')
    const events = rest.split('\n\n')
    rest = events.pop() ?? ''
    for (const one of events)
      if (!one.startsWith(':') && one !== 'data: [DONE]') assert.equal(/^data: \{"n":(\d+),/.exec(one)?.[1], String(n++))
  })
  client.response.resume()
  const text = await client.whole
  assert.equal(n, total)
  assert.ok(text.endsWith(doneText))
  assert.equal((await sidecar.callLine(0))['end'], 'complete')
})

test('a client that stops reading and leaves takes the upstream with it', async (t) => {
  const upstreamSends = endless(Infinity)
  const upstream = await provider(t, [upstreamSends.step])
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port, { paused: true })
  await stalled(upstreamSends.sent)
  client.response.destroy()
  await upstreamSends.closed
  assert.equal((await sidecar.callLine(0))['end'], 'client_gone')
})

eachCut('one client that does not read slows no other', async (t, cut) => {
  const upstream = await provider(t, [endless(Infinity).step, endless(cut === 'as written' ? 200 : 2).step], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  await openStream(t, sidecar.port, { paused: true })
  const other = await openStream(t, sidecar.port)
  assert.ok((await other.whole).endsWith(doneText))
})
