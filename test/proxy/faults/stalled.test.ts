import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { fails, good, healthOf, isGood, triedOf } from '../../fixtures/failing.ts'
import { stall, stallAfterHead, type Step } from '../../fixtures/provider.ts'
import { ask, askedOf, startUpstreams } from '../../fixtures/startUpstreams.ts'
import { chatText } from '../../fixtures/streams.ts'
import { unresumed } from '../../fixtures/unresumed.ts'

const first = '{"choices":[{"index":0,"delta":{"content":"a"}}]}'

const quietThenSilent: Step = async ({ body, res }) => {
  await body
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  res.write(': queued\n\n\n\nevent: ping\ndata: {"type":"ping"}\n\n')
}

fails('a stream that stalls behind comments and pings', {
  step: quietThenSilent,
  stream: true,
  document: { timeouts: { firstEvent: '300ms' } },
  outcome: 'first_event_timeout',
  attempts: 1,
  kind: 'first_event_timeout',
})

suite('a stream that stalls', { concurrency: true }, () => {
  for (const [where, sent, whole] of [
    ['behind an event', `data: ${first}\n\n`, `data: ${first}\n\n`],
    ['in the middle of an event', `data: ${first}\n\ndata: {"choi`, `data: ${first}\n\n`],
  ] as const) {
    test(`${where} ends with an error inside of it, and nobody else is asked`, async (t) => {
      const step: Step = async ({ body, res }) => {
        await body
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.write(sent)
      }
      const { sidecar, providers } = await startUpstreams(t, [step, []], { ...unresumed, timeouts: { idle: '300ms' } })
      const { text } = await ask(sidecar, { stream: true })
      assert.ok(text.startsWith(`${whole}event: error\ndata: `), text)
      assert.match(text, /"outrider":\{"kind":"idle_timeout","fault":"upstream"/)
      assert.deepEqual(askedOf(providers), [1, 0])
      assert.equal(await providers[0]?.seen[0]?.closed, true, 'the upstream was told')
      const { error, end } = await sidecar.callLine(0)
      assert.deepEqual([error, end], ['idle_timeout', 'timeout'])
      assert.equal((await healthOf(sidecar))[0]?.last_failure?.what, 'idle_timeout')
    })
  }

  test('once its client has had a heartbeat ends inside of it: that was the point of no return', async (t) => {
    const document = { ...unresumed, streams: { heartbeat: '60ms' }, timeouts: { firstEvent: '900ms' } }
    const { sidecar, providers } = await startUpstreams(t, [stallAfterHead(), []], document)
    const told = await ask(sidecar, { stream: true })
    assert.equal(told.status, 200)
    assert.match(told.text, /^(?:: still here\n\n)+event: error\ndata: .*"kind":"first_event_timeout"/)
    assert.deepEqual(askedOf(providers), [1, 0])
    assert.equal((await sidecar.callLine(0))['error'], 'first_event_timeout')
  })

  test('and breaks off after a heartbeat ends inside of it too', async (t) => {
    const begun = Promise.withResolvers<() => void>()
    const step: Step = async ({ body, res, reset }) => {
      await body
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      begun.resolve(reset)
    }
    const { sidecar, providers } = await startUpstreams(t, [step, []], { ...unresumed, streams: { heartbeat: '60ms' } })
    const reply = await fetch(`${sidecar.url}/chat/completions`, {
      method: 'POST',
      body: '{"model":"m","stream":true}',
      headers: { 'content-type': 'application/json' },
    })
    ;(await begun.promise)()
    assert.match(await reply.text(), /^(?:: still here\n\n)+event: error\ndata: .*"kind":"reply_cut"/)
    assert.deepEqual(askedOf(providers), [1, 0])
  })

  test('before a heartbeat is due is begun anew elsewhere', async (t) => {
    const document = { streams: { heartbeat: '5s' }, timeouts: { firstEvent: '300ms' } }
    const { sidecar } = await startUpstreams(t, [stallAfterHead(), good], document)
    isGood(await ask(sidecar, { stream: true }), true)
  })
})

test('a fixed wait for the first event holds for the last one too, and for each of them anew', async (t) => {
  const { sidecar, providers } = await startUpstreams(t, [stall(), stall(), stall()], { timeouts: { firstEvent: '120ms' } })
  const told = await ask(sidecar, { stream: true })
  assert.deepEqual([told.status, told.headers.get('x-outrider-error')], [504, 'first_event_timeout'])
  assert.deepEqual(askedOf(providers), [1, 1, 1])
  const waited = (await sidecar.callLine(0)) as { tried: { ms: number }[] }
  for (const { ms } of waited.tried) assert.ok(ms >= 115, JSON.stringify(waited.tried))
})

test('a first event that comes in time is waited for, however silent it was before', async (t) => {
  const late: Step = async ({ body, res }) => {
    await body
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.flushHeaders()
    setTimeout(() => res.end([...chatText(['late']), 'data: [DONE]\n\n'].join('')), 300)
  }
  const { sidecar, providers } = await startUpstreams(t, [late, []], { timeouts: { firstEvent: '5s' } })
  assert.match((await ask(sidecar, { stream: true })).text, /late[^]*\[DONE\]/)
  assert.deepEqual(askedOf(providers), [1, 0])
  assert.deepEqual(await triedOf(sidecar), [['a', 200]])
})

test('an answer that is no stream and stalls in its middle is asked for elsewhere', async (t) => {
  const half: Step = async ({ body, res }) => {
    await body
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    res.write('{"choices":[')
  }
  const { sidecar, providers } = await startUpstreams(t, [half, good], { timeouts: { idle: '300ms' } })
  isGood(await ask(sidecar))
  assert.deepEqual(askedOf(providers), [1, 1])
  assert.deepEqual(await triedOf(sidecar), [
    ['a', 'idle_timeout'],
    ['b', 200],
  ])
})
