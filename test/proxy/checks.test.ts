import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  answers,
  blackhole,
  deadUpstream,
  hangUp,
  provider,
  rawUpstream,
  secondName,
  stall,
  testCertificates,
} from '../fixtures/provider.ts'
import type { Step } from '../fixtures/provider.ts'
import { egressProxy } from '../fixtures/egressProxy.ts'
import type { Question } from '../../sidecar/proxy/upstream/check/question.ts'
import type { Standing } from '../../sidecar/proxy/upstream/standing.ts'
import { startChecks, type Checks } from '../fixtures/startChecks.ts'
import { testKey } from '../fixtures/startSidecar.ts'

const hostState = ({ target, clock }: Checks): string | undefined => target.accounts[0]?.standing.state('m', clock.now())

const lastOf = ({ target, clock }: Checks) => target.checked.read(clock.now()).last

const html: Step = answers(200, '<html>Back soon</html>', { 'content-type': 'text/html; charset=utf-8' })

suite('what a check asks', { concurrency: true }, () => {
  test('the list of models, with the key of the upstream and over a connection that is kept', async (t) => {
    const upstream = await provider(t, answers(200, { data: [] }))
    const checks = await startChecks(t, upstream.url)
    await checks.round()
    await checks.round()
    assert.deepEqual(
      upstream.seen.map(({ method, path, headers }) => [method, path, headers['authorization']]),
      [
        ['GET', '/v1/models', `Bearer ${testKey}`],
        ['GET', '/v1/models', `Bearer ${testKey}`],
      ],
    )
    assert.equal(upstream.connections, 1)
    const { well, what } = lastOf(checks) ?? {}
    assert.deepEqual([well, what], [true, 'status 200'])
  })

  test('a path of its own, from the root of the host', async (t) => {
    const upstream = await provider(t, [answers(204), answers(404), answers(302), answers(401)])
    const checks = await startChecks(t, upstream.url, { check: { by: 'path', path: '/up?deep=1' } })
    const well: unknown[] = []
    for (let n = 0; n < 4; n++) {
      await checks.round()
      well.push(lastOf(checks)?.well)
    }
    assert.equal(upstream.seen[0]?.path, '/up?deep=1')
    assert.deepEqual(well, [true, false, true, false])
  })

  test('only a connection, with TLS that is checked, through the proxy on the way', async (t) => {
    const { ca, server } = testCertificates()
    const upstream = await provider(t, [], { tls: { cert: server.cert, key: server.key } })
    const proxy = await egressProxy(t, { leadsTo: upstream.port })
    const url = `https://${secondName}:${upstream.port}`
    const trusting = await startChecks(t, url, {
      check: { by: 'connect' },
      document: { network: { httpsProxy: proxy.url, ca: ca.certPath } },
    })
    await trusting.round()
    await trusting.round()
    assert.deepEqual(lastOf(trusting)?.what, 'connected')
    assert.equal(proxy.asked.length, 2)
    assert.equal(upstream.seen.length, 0, 'nothing is asked')
    const distrusting = await startChecks(t, url, { check: { by: 'connect' }, document: { network: { httpsProxy: proxy.url } } })
    await distrusting.round()
    assert.deepEqual(lastOf(distrusting)?.what, 'tls_failed')
  })

  test('no more of a list than its beginning', async (t) => {
    const upstream = await provider(t, async ({ res, seen }) => {
      res.writeHead(200, { 'content-type': 'application/json' })
      for (let n = 0; n < 10_000 && !seen.aborted; n++) {
        await new Promise((done) => {
          res.write('x'.repeat(100_000), done)
        })
      }
    })
    const checks = await startChecks(t, upstream.url)
    await checks.round()
    assert.equal(lastOf(checks)?.well, true)
    assert.equal(await upstream.seen[0]?.closed, true)
  })

  test('nothing while it works on as many calls as it may', async (t) => {
    const upstream = await provider(t, answers(200, { data: [] }))
    const checks = await startChecks(t, upstream.url, { upstream: { connections: 1 } })
    const { pool } = checks.target
    const connection = await new Promise<Parameters<typeof pool.giveBack>[0]>((give, refuse) => {
      pool.take({ cancelled: undefined, over: false, failure: undefined, cancels: [], ends: [] }, false, give, refuse)
    })
    for (let n = 0; n < 5; n++) checks.clock.pass(10_000)
    assert.equal(checks.count(), 0)
    pool.giveBack(connection)
    await Promise.resolve()
    await checks.round()
    assert.equal(checks.count(), 1)
  })
})

suite('what an answer to a check says', { concurrency: true }, () => {
  const there: [string, Step][] = [
    ...[200, 204, 301, 400, 401, 403, 404, 405, 429, 501, 529].map((status): [string, Step] => [`status ${status}`, answers(status)]),
    ['a 404 that is a page', answers(404, '<html>', { 'content-type': 'text/html' })],
  ]
  for (const [name, step] of there) {
    test(`${name}: it is there`, async (t) => {
      const upstream = await provider(t, step)
      const checks = await startChecks(t, upstream.url)
      for (let n = 0; n < 3; n++) await checks.round()
      assert.deepEqual([lastOf(checks)?.well, hostState(checks)], [true, 'healthy'])
    })
  }

  const failing: [string, Step][] = [
    ...[408, 500, 502, 503, 504, 522].map((status): [string, Step] => [`status ${status}`, answers(status)]),
    ['a page in place of the list', html],
    ['no answer', hangUp()],
    ['silence', stall()],
  ]
  for (const [name, step] of failing) {
    test(`${name}: three times in a row, and it is down`, async (t) => {
      const upstream = await provider(t, step)
      const checks = await startChecks(t, upstream.url, { check: { timeout: '200ms' } })
      await checks.round()
      await checks.round()
      assert.deepEqual([lastOf(checks)?.well, hostState(checks)], [false, 'healthy'])
      await checks.round()
      assert.equal(hostState(checks), 'down')
      assert.deepEqual(
        checks.changes.map(({ upstream: of, model, from, to }) => [of, model, from, to]),
        [['a', '', 'healthy', 'down']],
      )
    })
  }

  test('no connection is a failure, however it fails', async (t) => {
    const dead = await deadUpstream()
    const hole = await blackhole(t)
    for (const [url, what] of [
      [dead, 'connect_failed'],
      [hole.url.replace('http:', 'https:'), 'no connection within 0.2 s'],
    ] as const) {
      for (const by of ['models', 'connect']) {
        const checks = await startChecks(t, url, { check: { by, timeout: '200ms' } })
        for (let n = 0; n < 3; n++) await checks.round()
        assert.deepEqual([lastOf(checks)?.what, hostState(checks)], [what, 'down'])
      }
    }
  })

  test('a call that fails there while it is down is no second change', async (t) => {
    const upstream = await provider(t, answers(500))
    const checks = await startChecks(t, upstream.url)
    for (let n = 0; n < 3; n++) await checks.round()
    const standing = checks.target.accounts[0]?.standing as Standing
    const now = checks.clock.now()
    standing.ended(standing.began('m', 1, now), { outcome: 'connect', what: 'connect_failed', hintMs: undefined, now, mayEject: undefined })
    assert.equal(checks.changes.length, 1)
  })

  test('two in a row that go well bring it up, slowly', async (t) => {
    const upstream = await provider(
      t,
      [503, 503, 503, 200, 503, 200, 200].map((status) => answers(status)),
    )
    const checks = await startChecks(t, upstream.url)
    const states: unknown[] = []
    for (let n = 0; n < 7; n++) {
      await checks.round()
      states.push(hostState(checks))
    }
    assert.deepEqual(states, ['healthy', 'healthy', 'down', 'down', 'down', 'down', 'slow_start'])
    assert.equal(checks.target.accounts[0]?.standing.easeOf('m', checks.clock.now()), 0.1)
    assert.deepEqual(
      checks.changes.map(({ from, to, why }) => [from, to, why]),
      [
        ['healthy', 'down', 'checks fail, the last: status 503'],
        ['down', 'slow_start', 'checks go well again, the last: status 200'],
      ],
    )
  })

  test('who was down and answers is asked again after two seconds, and not after ten: calls are kept from it meanwhile', async (t) => {
    const upstream = await provider(
      t,
      [503, 503, 503, 200, 200].map((status) => answers(status)),
    )
    const checks = await startChecks(t, upstream.url)
    for (let n = 0; n < 4; n++) await checks.round()
    assert.equal(hostState(checks), 'down')
    // Its answer has come in real time; the next round is due two seconds later in that of the test.
    const answered = checks.count()
    const next = checks.heard()
    checks.clock.pass(2_100)
    await next
    assert.deepEqual([checks.count() - answered, hostState(checks)], [1, 'slow_start'])
  })

  test('a kept connection that the upstream has closed meanwhile is no failure', async (t) => {
    const upstream = await rawUpstream(t, async (socket, bytes) => {
      await bytes.until('\r\n\r\n')
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
      await bytes.until((all) => all.toString('latin1').split('\r\n\r\n').length > 2)
      socket.destroy()
    })
    const checks = await startChecks(t, upstream.url)
    for (let n = 0; n < 3; n++) await checks.round()
    assert.deepEqual([checks.target.checked.read(0).failed, upstream.connections.length], [0, 3])
  })

  test('where nobody has chosen the question, an upstream that never answered it well is not taken down by its answers', async (t) => {
    const upstream = await provider(
      t,
      [500, 500, 500, 500, 200, 500, 500, 500].map((status) => answers(status)),
    )
    const checks = await startChecks(t, upstream.url, { check: { by: 'auto', quietInterval: '10s' } })
    for (let n = 0; n < 7; n++) await checks.round()
    assert.equal(hostState(checks), 'healthy')
    await checks.round()
    assert.equal(hostState(checks), 'down', 'it did answer it well')
  })

  test('nor is it asked more often for them', async (t) => {
    const upstream = await provider(t, answers(500))
    const checks = await startChecks(t, upstream.url, { check: { by: 'auto', quietInterval: '60s' } })
    await checks.round()
    const askedMs = checks.clock.now()
    await checks.round()
    assert.ok(checks.clock.now() - askedMs >= 60_000)
  })
})

suite('when a check is due', { concurrency: true }, () => {
  test('not where a call has ended within the interval, whatever it came to', async (t) => {
    const upstream = await provider(t, answers(200, { data: [] }))
    const { clock, target, count, round } = await startChecks(t, upstream.url)
    for (let n = 0; n < 20; n++) {
      target.condition.note(n % 2 === 0 ? 'good' : 'failed', '', clock.now())
      clock.pass(5_000)
    }
    assert.equal(count(), 0)
    clock.pass(4_900)
    assert.equal(count(), 0)
    await round()
    assert.equal(count(), 1)
  })

  test('a call that goes well counts for one: two rounds with such calls bring up what was down', async (t) => {
    const upstream = await provider(
      t,
      [503, 503, 503].map((status) => answers(status)),
    )
    const checks = await startChecks(t, upstream.url)
    for (let n = 0; n < 3; n++) await checks.round()
    assert.equal(hostState(checks), 'down')
    for (let n = 0; n < 5; n++) {
      checks.target.condition.note('good', '', checks.clock.now())
      checks.clock.pass(4_000)
    }
    assert.equal(hostState(checks), 'slow_start')
    assert.equal(upstream.seen.length, 3)
  })

  /** For how long nothing was asked, to the next round. */
  const pauseOf = async ({ clock, round }: Checks): Promise<number> => {
    const before = clock.now()
    await round()
    return clock.now() - before
  }

  test('auto asks one that nothing is known against as rarely as it is told, from the beginning on', async (t) => {
    const upstream = await provider(t, answers(200, { data: [] }))
    const checks = await startChecks(t, upstream.url, { check: { by: 'auto', quietInterval: '60s' } })
    assert.deepEqual([await pauseOf(checks), await pauseOf(checks)], [70_000, 60_000])
  })

  test('left alone, auto asks every ten seconds', async (t) => {
    const upstream = await provider(t, answers(200, { data: [] }))
    const checks = await startChecks(t, upstream.url, { check: { by: 'auto' } })
    assert.deepEqual([await pauseOf(checks), await pauseOf(checks)], [10_000, 10_000])
  })

  test('and every ten seconds as soon as a call has failed, a check has failed, or one of its models is ejected', async (t) => {
    const upstream = await provider(t, ({ res }) => void (mood.ill ? res.writeHead(500) : res).end('{}'))
    const mood = { ill: false }
    const checks = await startChecks(t, upstream.url, { check: { by: 'auto', quietInterval: '60s' } })
    const { clock, target } = checks
    await checks.round()
    const failing = (): void => target.condition.note('failed', 'status 500', clock.now())
    const well = (): void => target.condition.note('good', '', clock.now())
    failing()
    // Heard of, and then due ten seconds later.
    assert.deepEqual([await pauseOf(checks), await pauseOf(checks)], [10_000, 10_000])
    well()
    mood.ill = true
    await checks.round()
    assert.equal(await pauseOf(checks), 10_000)
    mood.ill = false
    await checks.round()
    assert.equal(await pauseOf(checks), 60_000)
    const standing = target.accounts[0]?.standing as Standing
    for (let n = 0; n < 5; n++) {
      standing.ended(standing.began('m', 1, clock.now()), {
        outcome: 'server',
        what: '',
        hintMs: undefined,
        now: clock.now(),
        mayEject: undefined,
      })
    }
    assert.equal(await pauseOf(checks), 10_000)
  })

  test('sidecars that start together do not ask together', async (t) => {
    const upstream = await provider(t, answers(200, { data: [] }))
    const first = async (random: number): Promise<number> => {
      const { clock, target } = await startChecks(t, upstream.url, { random: () => random })
      const before = clock.now()
      for (let n = 0; n < 220 && target.pool.stats().waiting === 0; n++) clock.pass(50)
      return clock.now() - before
    }
    const begun = await Promise.all([0, 0.25, 0.5, 0.99].map(first))
    assert.ok(
      begun.every((ms, n) => Math.abs(ms - 10_000 * ([0, 0.25, 0.5, 0.99][n] ?? 0)) <= 100),
      begun.join(' '),
    )
  })

  test('nor do they come into step later: each pause is longer or shorter by up to a tenth', async (t) => {
    const pauses = async (random: number): Promise<number> => {
      const asked: number[] = []
      let now = (): number => 0
      const question: Question = (tell) => {
        asked.push(now())
        tell({ well: true, what: '', reached: true })
        return () => {}
      }
      const { clock } = await startChecks(t, 'http://127.0.0.1:9', { random: () => random, question })
      now = clock.now
      for (let n = 0; n < 1_000 && asked.length < 2; n++) clock.pass(50)
      return (asked[1] ?? 0) - (asked[0] ?? 0)
    }
    assert.deepEqual(await Promise.all([0, 0.5, 0.75].map(pauses)), [9_000, 10_000, 10_500])
  })

  test('no more when the process ends, and what is under way is given up', async (t) => {
    const upstream = await provider(t, stall())
    const { clock, checker, count, target } = await startChecks(t, upstream.url, { check: { timeout: '10m' } })
    clock.pass(5_000)
    const { closed } = await upstream.request(0)
    checker.stop()
    await closed
    for (let n = 0; n < 10; n++) clock.pass(10_000)
    assert.deepEqual([upstream.seen.length, count(), clock.pending()], [1, 0, 0])
    assert.equal(target.pool.stats().busy, 0)
  })

  test('what was down stays down when the process ends', async (t) => {
    const upstream = await provider(t, answers(500))
    const checks = await startChecks(t, upstream.url)
    for (let n = 0; n < 3; n++) await checks.round()
    checks.checker.stop()
    checks.checker.close()
    assert.deepEqual([hostState(checks), checks.changes.length], ['down', 1])
  })

  test('what was down is down no more when nobody asks any longer', async (t) => {
    const upstream = await provider(t, answers(500))
    const checks = await startChecks(t, upstream.url)
    for (let n = 0; n < 3; n++) await checks.round()
    assert.equal(hostState(checks), 'down')
    checks.checker.close()
    assert.equal(hostState(checks), 'slow_start')
    assert.equal(checks.changes.at(-1)?.why, 'it is not checked any more')
  })
})
