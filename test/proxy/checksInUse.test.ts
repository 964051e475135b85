import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { folder, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, chat, paced, provider, type Provider, type Step } from '../fixtures/provider.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'
import { startSidecar, testKey, type Sidecar } from '../fixtures/startSidecar.ts'
import { ask, served, startUpstreams } from '../fixtures/startUpstreams.ts'

/** As often as can be, and at once: how many it takes has tests of its own. */
const often = { by: 'models', interval: '1s', quietInterval: '1s', failures: 1, successes: 1 }

interface Known {
  readonly name: string
  readonly status: string
  readonly state: string
  readonly last_check?: { readonly good: boolean; readonly what: string }
}

const healthOf = async ({ url }: Pick<Sidecar, 'url'>): Promise<{ status: string; upstreams: Known[] }> =>
  (await (await fetch(new URL('/health', url))).json()) as { status: string; upstreams: Known[] }

const metricsOf = async ({ adminUrl }: Sidecar): Promise<string> => (await fetch(`${adminUrl}/metrics`)).text()

/** Well or ill, to calls and to checks alike. */
function moody(): { readonly step: Step; ill: boolean } {
  const mood = {
    ill: false,
    step: (async (exchange) => {
      const step = mood.ill ? answers(500) : exchange.req.method === 'GET' ? answers(200, { data: [] }) : chat('a')
      await step(exchange)
    }) satisfies Step,
  }
  return mood
}

const checksAt = ({ seen }: Provider): number => seen.filter(({ path }) => path === '/v1/models').length

suite('checks of a sidecar', { concurrency: true }, () => {
  test('an upstream that goes down while nobody calls is passed over, and used again when it is back; all that tells of it says so once', async (t) => {
    const a = moody()
    const { sidecar, providers } = await startUpstreams(t, [a.step, chat('b')], {}, [{ check: { ...often, failures: 3, successes: 2 } }])
    a.ill = true
    await sidecar.logged('upstream a is down: checks fail, the last: status 500')
    const [first] = providers
    assert.ok(first !== undefined && checksAt(first) >= 3)
    assert.deepEqual(served(await ask(sidecar)), ['b', '1'])
    const { status, upstreams } = await healthOf(sidecar)
    assert.deepEqual(
      [status, ...upstreams.map(({ name, status: word, state }) => `${name} ${word} ${state}`)],
      ['degraded', 'a unhealthy down', 'b healthy healthy'],
    )
    const { good, what } = upstreams[0]?.last_check ?? {}
    assert.deepEqual([good, what], [false, 'status 500'])
    const stats = (await (await fetch(`${sidecar.url}/stats`)).json()) as { upstreams: { state: string; checks: { failed: number } }[] }
    assert.equal(stats.upstreams[0]?.state, 'down')
    assert.ok((stats.upstreams[0]?.checks.failed ?? 0) >= 3)
    const metrics = await metricsOf(sidecar)
    assert.match(metrics, /^outrider_upstream_state\{upstream="a",state="down"\} 1$/m)
    assert.match(metrics, /^outrider_upstream_changes_total\{upstream="a",state="down"\} 1$/m)
    assert.match(metrics, /^outrider_checks_total\{upstream="a",result="failed"\} [3-9]$/m)
    a.ill = false
    await sidecar.logged('upstream a is used again')
    assert.deepEqual(served(await ask(sidecar)), ['a', '1'])
    const back = await healthOf(sidecar)
    assert.deepEqual([back.status, back.upstreams[0]?.state], ['healthy', 'slow_start'])
    assert.equal(sidecar.log().match(/upstream a is/g)?.length, 2)
  })

  test('an ejection of five minutes ends within seconds when checks see that the upstream is back', async (t) => {
    const a = moody()
    const health = { ejection: '5m', failures: 2 }
    const { sidecar } = await startUpstreams(t, [a.step, chat('b')], { health }, [{ check: { ...often, failures: 3 } }])
    a.ill = true
    // Before checks have seen it.
    for (let n = 0; n < 2; n++) assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
    await sidecar.logged('upstream a is ejected for')
    await sidecar.logged('upstream a is down')
    a.ill = false
    let last: string | null = ''
    for (let n = 0; n < 20_000 && last !== 'a'; n++) [last] = served(await ask(sidecar))
    assert.equal(last, 'a')
    await sidecar.logged('"model":"m","from":"ejected","to":"slow_start"')
  })

  test('a check is no call: it is in no count of calls and attempts, in no access log, and its key in no log at all', async (t) => {
    const a = moody()
    const { sidecar, providers } = await startUpstreams(t, [a.step, chat('b')], { log: { level: 'trace' } }, [{ check: often }])
    await providers[0]?.request(0)
    a.ill = true
    await sidecar.logged('upstream a is down')
    assert.equal(providers[0]?.seen[0]?.headers['authorization'], `Bearer ${testKey}`)
    const metrics = await metricsOf(sidecar)
    for (const name of ['outrider_calls_total', 'outrider_attempts_total', 'outrider_errors_total', 'router_errors_total']) {
      assert.doesNotMatch(metrics, new RegExp(`^${name}\\{`, 'm'))
    }
    assert.doesNotMatch(sidecar.log(), /"msg":"call"/)
    assert.doesNotMatch(sidecar.log(), new RegExp(testKey))
  })

  test('an upstream that stands alone is checked only where the config says so', async (t) => {
    const alone = await startSidecar(t, 'http://127.0.0.1:1')
    assert.equal(alone.proxy.residue().alarms, 0)
    // So rarely that none comes before the test is over: the first is asked at random within it.
    const unsaid = { check: { interval: '1h' } }
    const both = await startUpstreams(t, [[], []], {}, [unsaid, unsaid])
    assert.equal(both.sidecar.proxy.residue().alarms, 2)
    const off = await startUpstreams(t, [[], []], {}, [{ check: { by: 'off' } }, unsaid])
    assert.equal(off.sidecar.proxy.residue().alarms, 1)
    const a = await provider(t, answers(503))
    const told = await startSidecar(t, a.url, {}, { check: often })
    await told.logged('upstream fake is down')
    assert.equal((await healthOf(told)).status, 'unhealthy')
    // There is nothing else, so that its own answer tells more than ours.
    const reply = await ask(told)
    assert.deepEqual([reply.status, served(reply)], [503, ['fake', '1']])
    await told.proxy.close()
    assert.doesNotMatch(told.log(), /is used again/, 'the end of the process is no news of the upstream')
  })

  test('checks end when the drain begins', async (t) => {
    const stream = paced()
    const { sidecar } = await startUpstreams(t, [stream, []], { drain: { idleExit: '0s' } }, [
      { check: { interval: '1h' } },
      { check: { interval: '1h' } },
    ])
    const streaming = ask(sidecar, { stream: true })
    await stream.send({ choices: [{ delta: { content: 'x' }, finish_reason: 'stop' }] })
    const before = sidecar.proxy.residue().alarms
    const drained = sidecar.proxy.drain()
    // One is set by the drain itself.
    assert.equal(sidecar.proxy.residue().alarms, before - 2 + 1)
    await stream.send('[DONE]')
    await stream.end()
    assert.equal((await streaming).status, 200)
    await drained
  })
})

suite('checks over a reload', { concurrency: true }, () => {
  async function run(t: TestContext, document: object) {
    const file = join(folder(t), 'outrider.json')
    const put = (text: string): string => {
      writeFileSync(file, text)
      return file
    }
    const outrider = await runOutrider(t, 'http://127.0.0.1:1', { ...document }, { put })
    let reloads = 0
    return {
      outrider,
      change: async (next: object): Promise<void> => {
        replaceFile(file, outrider.configText({ ...next }))
        reloads++
        await outrider.printed(new RegExp(`(?:config reloaded[^]*){${reloads}}`))
      },
    }
  }

  test('an upstream whose settings stay keeps what checks have told of it, and goes on being checked', async (t) => {
    const mood = moody()
    const a = await provider(t, mood.step)
    const b = await provider(t, chat('b'))
    const document = (weight: number): object => ({
      upstreams: [
        { name: 'a', url: `${a.url}/v1`, credential: 'fake', tier: 1, weight, check: often },
        { name: 'b', url: `${b.url}/v1`, credential: 'fake', tier: 2 },
      ],
    })
    mood.ill = true
    const { outrider, change } = await run(t, document(1))
    await outrider.printed('upstream a is down')
    await change(document(2))
    assert.deepEqual(served(await ask(outrider)), ['b', '1'])
    mood.ill = false
    await outrider.printed('upstream a is used again')
    assert.equal(outrider.stdout().match(/upstream a is down/g)?.length, 1)
    assert.equal(a.connections, 1)
  })

  test('the first upstream begins to be checked when a second one comes, over the connection that it has', async (t) => {
    const a = await provider(t, moody().step)
    const check = { ...often, by: 'auto' }
    const one = (name: string): object => ({ name, url: `${a.url}/v1`, credential: 'fake', check })
    const { outrider, change } = await run(t, { upstreams: [one('a')] })
    assert.deepEqual(served(await ask(outrider)), ['a', '1'])
    const second = { name: 'b', url: 'http://127.0.0.1:1/v1', credential: 'fake', tier: 2, check: { by: 'off' } }
    await change({ upstreams: [one('a'), second] })
    const { path } = await a.request(1)
    assert.deepEqual([path, a.connections], ['/v1/models', 1])
  })

  test('one that was down is used again when the one beside it goes, and nobody checks any more', async (t) => {
    const mood = moody()
    const a = await provider(t, mood.step)
    const b = await provider(t, chat('b'))
    // So that there is a good answer before the bad ones: else they might be those of an upstream without a list.
    const one = { name: 'a', url: `${a.url}/v1`, credential: 'fake', check: { ...often, by: 'auto' } }
    const two = { name: 'b', url: `${b.url}/v1`, credential: 'fake', check: { by: 'off' } }
    const { outrider, change } = await run(t, { upstreams: [one, two] })
    await a.request(0)
    mood.ill = true
    await outrider.printed('upstream a is down')
    await change({ upstreams: [one] })
    await outrider.printed('it is not checked any more')
    const state = (await healthOf(outrider)).upstreams[0]?.state
    assert.equal(state, 'slow_start')
  })
})
