import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { memory } from '../bench/measure.ts'
import { mountedSecret } from '../fixtures/mountedSecret.ts'
import { chat, frame, openStream, provider, type Exchange, type Step } from '../fixtures/provider.ts'
import { runOutrider, type Outrider } from '../fixtures/runOutrider.ts'
import { container, type Container } from './container.ts'

async function limited(t: TestContext, script: Step, memoryMiB: number): Promise<Outrider & { box: Container; startMs: number }> {
  const upstream = await provider(t, script)
  const volume = mountedSecret(t, {})
  const box = container(t, { memoryMiB, mounts: { '/etc/outrider': volume.path } })
  const put = (text: string): string => {
    volume.swap({ 'outrider.json': text })
    return '/etc/outrider/outrider.json'
  }
  const from = performance.now()
  const running = await runOutrider(t, upstream.url, {}, { put, command: box.command })
  return { ...running, box, startMs: performance.now() - from }
}

/** Prints where the memory stands, and returns it. */
function note(t: TestContext, when: string, box: Container): { rssMiB: number; anonymousMiB: number; used: number } {
  const own = memory(box.pid())
  const group = box.memory()
  const figures = [`RSS ${own.rssMiB.toFixed(0)}`, `anonymous ${own.anonymousMiB.toFixed(0)}`, `container ${group.used.toFixed(0)}`]
  t.diagnostic(`${when}: ${figures.join(', ')}, at most ${group.most.toFixed(0)} MiB`)
  assert.equal(group.kills, 0)
  return { ...own, used: group.used }
}

test('an idle sidecar takes some 20 MiB for itself, far below the limit it is given', async (t) => {
  const { box, startMs } = await limited(t, chat('hello'), 160)
  t.diagnostic(`listening ${startMs.toFixed(0)} ms after runc was started`)
  const { anonymousMiB, used } = note(t, 'idle', box)
  // 21 were measured; how much of the executable counts depends on who read it first.
  assert.ok(anonymousMiB < 32, `${anonymousMiB} MiB`)
  assert.ok(used < 160, `${used} MiB`)
})

test('with 96 MiB it works flat out and is not killed', async (t) => {
  const { box, url } = await limited(t, chat('hello '.repeat(200)), 96)
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  t.after(() => agent.destroy())
  const calls = Array.from({ length: 3_000 }, async () =>
    text(await post(url, agent, { model: 'm', messages: [{ role: 'user', content: 'x'.repeat(4_000) }] })),
  )
  for (const answer of await Promise.all(calls)) assert.match(answer, /hello/)
  note(t, 'after 3 000 calls, 32 at a time', box)
})

test('with 160 MiB it holds 1 000 streams and is not killed', async (t) => {
  const open: Exchange[] = []
  const stream: Step = (exchange) => {
    openStream(exchange)
    open.push(exchange)
    exchange.res.write(frame({ choices: [{ delta: { content: 'first' } }] }))
  }
  const { box, url } = await limited(t, stream, 160)
  const agent = new Agent({ maxSockets: Infinity })
  t.after(() => agent.destroy())
  const streams = await Promise.all(Array.from({ length: 1_000 }, () => post(url, agent, { model: 'm', stream: true })))
  const texts = streams.map((one) => text(one))
  for (let round = 0; round < 20; round++) {
    // Each round is on its way before the next is written, as events of a model are.
    const written = open.map(
      ({ res }) => new Promise((done) => res.write(frame({ choices: [{ delta: { content: `more ${round}` } }] }), done)),
    )
    await Promise.all(written)
  }
  note(t, 'with 1 000 streams', box)
  for (const { res } of open) res.end(frame('[DONE]'))
  for (const one of await Promise.all(texts)) assert.match(one, /first[\s\S]*more 19[\s\S]*data: \[DONE\]\n\n$/)
})

async function post(url: string, agent: Agent, body: object): Promise<IncomingMessage> {
  const req = request(`${url}/chat/completions`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } })
  req.end(JSON.stringify(body))
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  assert.equal(res.statusCode, 200)
  return res
}
