import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { eachCut, provider, stallAfter, type Step } from '../fixtures/provider.ts'
import { startByHand, startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { openStream, type StreamClient } from '../fixtures/streamClient.ts'
import { doneText } from '../fixtures/streams.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

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

/** The stream that is watched, and others of the same sidecar and provider, to tell the time by. */
const beside =
  (watched: Step): Step =>
  (exchange) => {
    const { path } = exchange.seen
    if (path.endsWith('?other')) return endless(500).step(exchange)
    return (path.endsWith('?silent') ? stallAfter({ n: 0 }) : watched)(exchange)
  }

/** Reads another stream to its end and keeps only its last bytes. */
async function another(sidecar: Sidecar): Promise<string> {
  const reply = await fetch(`${sidecar.url}/chat/completions?other`, { method: 'POST', body: '{"stream":true}' })
  let end = ''
  for await (const bytes of reply.body ?? []) end = (end + Buffer.from(bytes).toString('latin1')).slice(-400)
  return end
}

/** Waits until nothing was sent while another stream had eight megabytes carried: then it is not the machine that is slow. */
async function stalled(sidecar: Sidecar, sent: () => number): Promise<number> {
  for (let before = -1; before !== sent();) {
    before = sent()
    assert.ok((await another(sidecar)).endsWith(doneText))
  }
  return sent()
}

/** How the log says that this stream ended. */
async function endOf(sidecar: Sidecar, { headers }: StreamClient): Promise<string | undefined> {
  const line = new RegExp(`"call":"${String(headers['x-outrider-call'])}".*"end":"(\\w+)"`)
  await sidecar.logged(`"call":"${String(headers['x-outrider-call'])}"`)
  return line.exec(sidecar.log())?.[1]
}

test('a client that does not read makes the upstream wait, costs little, is not blamed for silence, and gets all in order', async (t) => {
  const total = 6_000
  const upstreamSends = endless(total)
  const upstream = await provider(t, beside(upstreamSends.step))
  const sidecar = await startByHand(t, upstream.url, { timeouts: { idle: '10s' } })
  await another(sidecar)
  collect()
  const before = process.memoryUsage()
  const client = await openStream(t, sidecar.port, { paused: true })
  const sent = await stalled(sidecar, upstreamSends.sent)
  assert.ok(sent < total / 2, `${sent} of ${total} events were taken although nobody reads`)
  collect()
  const { arrayBuffers } = process.memoryUsage()
  const grown = arrayBuffers - before.arrayBuffers
  assert.ok(grown < 16 * 2 ** 20, `${Math.round(grown / 2 ** 20)} MiB more in memory`)
  // Another stream that is silent for as long is given up, and that twice.
  for (let times = 0; times < 2; times++) {
    const silent = await openStream(t, sidecar.port, { path: '/chat/completions?silent' })
    sidecar.clock.pass(10_100)
    assert.match(await silent.whole, /idle_timeout/)
  }
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
  assert.equal(await endOf(sidecar, client), 'complete')
})

test('a client that stops reading and leaves takes the upstream with it', async (t) => {
  const upstreamSends = endless(Infinity)
  const upstream = await provider(t, beside(upstreamSends.step))
  const sidecar = await startSidecar(t, upstream.url)
  const client = await openStream(t, sidecar.port, { paused: true })
  await stalled(sidecar, upstreamSends.sent)
  client.response.destroy()
  await upstreamSends.closed
  assert.equal(await endOf(sidecar, client), 'client_gone')
})

eachCut('one client that does not read slows no other', async (t, cut) => {
  const upstream = await provider(t, [endless(Infinity).step, endless(cut === 'as written' ? 200 : 2).step], { cut })
  const sidecar = await startSidecar(t, upstream.url)
  await openStream(t, sidecar.port, { paused: true })
  const other = await openStream(t, sidecar.port)
  assert.ok((await other.whole).endsWith(doneText))
})
