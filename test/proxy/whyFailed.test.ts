import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { cutAfter, answers, chat, deadUpstream, provider, testCertificates, tooShort, type Step } from '../fixtures/provider.ts'
import { ask, startUpstreams } from '../fixtures/startUpstreams.ts'
import { chatText } from '../fixtures/streams.ts'
import { unresumed } from '../fixtures/unresumed.ts'

// Who is called at night has the log, and not what the app was told.

suite('the line of a call that failed says', { concurrency: true }, () => {
  test('in words what went wrong at the upstream, and why it was not tried again', async (t) => {
    const url = await deadUpstream()
    const { sidecar } = await startUpstreams(t, [[]], { retry: { attempts: 2, backoff: '1ms' } }, [{ url: `${url}/v1` }])
    await ask(sidecar)
    const { error, fault, reason, not_repeated: why } = await sidecar.callLine(0)
    assert.deepEqual([error, fault, why], ['connect_failed', 'upstream', 'attempts'])
    assert.match(String(reason), new RegExp(`no connection to .*${new URL(url).port}.*ECONNREFUSED`))
  })

  test('the same of an answer that broke off when the client had its head', async (t) => {
    const { sidecar } = await startUpstreams(t, [[tooShort()]])
    await assert.rejects(ask(sidecar))
    const { error, reason } = await sidecar.callLine(0)
    assert.equal(error, 'reply_cut')
    assert.match(String(reason), /the answer broke off before its end/)
  })

  test('and of a stream', async (t) => {
    const { sidecar } = await startUpstreams(t, [[cutAfter(...chatText(['Ein ', 'Wort']))]], unresumed)
    await ask(sidecar, { stream: true })
    const { error, reason } = await sidecar.callLine(0)
    assert.equal(error, 'reply_cut')
    assert.match(String(reason), /the answer broke off before its end/)
  })

  test('what the client has done wrong, and not in its own words', async (t) => {
    const maker = (name: string): Step => answers(200, { id: `resp_${name}`, object: 'response' })
    const inTurns = { routing: { strategy: 'round_robin' } }
    const { sidecar } = await startUpstreams(t, [maker('a'), maker('b')], inTurns, [{ tier: 1 }, { tier: 1 }])
    await (await fetch(`${sidecar.origin}/elsewhere`)).text()
    const line = await sidecar.callLine(0)
    assert.deepEqual([line['error'], 'not_repeated' in line], ['not_found', false])
    assert.match(String(line['reason']), /^only paths under \/v1 are served here/)
    for (let n = 0; n < 2; n++) await ask(sidecar, {}, {}, '/responses')
    const both = await ask(sidecar, { previous_response_id: 'resp_a', input: [{ file_id: 'resp_b' }] }, {}, '/responses')
    assert.match(both.text, /refers to resp_/)
    const quoting = await sidecar.callLine(3)
    assert.deepEqual([quoting['error'], 'reason' in quoting], ['bad_request', false])
  })

  test('and of one that was well, nothing', async (t) => {
    const { sidecar } = await startUpstreams(t, [[chat('hi')]])
    await ask(sidecar)
    const line = await sidecar.callLine(0)
    for (const name of ['reason', 'not_repeated', 'waited_ms']) assert.equal(name in line, false, name)
  })
})

suite('the line of an upstream that is left alone says', { concurrency: true }, () => {
  const keys = { good: { value: 'sk-test-good' }, poor: { value: 'sk-test-poor' } }
  for (const [what, status, body, words] of [
    [
      'that it has no quota',
      429,
      { error: { message: 'x', code: 'insufficient_quota' } },
      /is exhausted for .*: status 429, no quota or money is left/,
    ],
    ['that it refuses the key', 401, {}, /is auth_failed for .*: status 401, the key is refused/],
  ] as const) {
    test(what, async (t) => {
      const { sidecar } = await startUpstreams(t, [[answers(status, body)], [chat('hi')]], { credentials: { fake: keys.good } })
      assert.equal((await ask(sidecar)).status, 200)
      await sidecar.logged('upstream a is')
      assert.match(sidecar.log(), words)
    })
  }

  test('why there is no way to it, though every call was answered by another', async (t) => {
    const { stranger } = testCertificates()
    const { url } = await provider(t, [], { tls: stranger })
    const { sidecar } = await startUpstreams(t, [[], chat('hi')], {}, [{ url: `${url}/v1` }])
    for (let n = 0; n < 5; n++) assert.equal((await ask(sidecar)).status, 200)
    await sidecar.logged('upstream a is ejected')
    assert.match(sidecar.log(), /upstream a is ejected for .*: tls_failed, the TLS handshake failed: .*certificate/)
  })
})

// An upstream that failed half of its attempts looked well on every dashboard, as long as another saved the calls.
test('what goes wrong at an upstream is counted there, whoever has the answer', async (t) => {
  const steps = [answers(500), answers(200, '<html></html>', { 'content-type': 'text/html' }), chat('hi')]
  const { sidecar } = await startUpstreams(t, [steps, chat('hi')])
  for (let n = 0; n < 3; n++) assert.equal((await ask(sidecar)).status, 200)
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.deepEqual(text.match(/^outrider_attempts_failed_total\{.*$/gm)?.toSorted(), [
    'outrider_attempts_failed_total{upstream="a",outcome="500"} 1',
    'outrider_attempts_failed_total{upstream="a",outcome="bad_reply"} 1',
  ])
})

test('so is an answer that breaks off, and one that passes as an error, once each', async (t) => {
  const { sidecar } = await startUpstreams(t, [[tooShort(), answers(400)]])
  await assert.rejects(ask(sidecar))
  assert.equal((await ask(sidecar)).status, 400)
  await sidecar.callLine(1)
  const text = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  assert.deepEqual(text.match(/^outrider_attempts_failed_total\{.*$/gm)?.toSorted(), [
    'outrider_attempts_failed_total{upstream="a",outcome="400"} 1',
    'outrider_attempts_failed_total{upstream="a",outcome="reply_cut"} 1',
  ])
})

// A wait that the upstream had asked for was told as time that Outrider had taken.
test('a wait between attempts is told as such, and not as time that Outrider took', async (t) => {
  const { sidecar } = await startUpstreams(t, [[answers(429, {}, { 'retry-after-ms': '600' }), chat('hi')]])
  assert.equal((await ask(sidecar)).status, 200)
  const { waited_ms: waited, added_ms: added, total_ms: total } = (await sidecar.callLine(0)) as Record<string, number>
  assert.ok(waited !== undefined && waited >= 595, String(waited))
  assert.ok(added !== undefined && total !== undefined && added <= total - waited, `${added} of ${total}`)
})
