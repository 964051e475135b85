import assert from 'node:assert/strict'
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { suite, test, type TestContext } from 'node:test'
import { program, tempFile, type Program } from '../../fixtures/runOutrider.ts'
import type { Document } from '../../fixtures/startSidecar.ts'
import { noNetworks, twoNetworks, type TwoNetworks } from '../../fixtures/twoNetworks.ts'
import { unresumed } from '../../fixtures/unresumed.ts'

// A machine that loses its power, or a firewall that forgets a connection, says no word of it: no FIN, no reset, and no answer to what is sent.

/** Tells of each request; answers it, or does what the last line that it read says. It lives on: only its network is gone. */
const upstream = (address: string, name: string): string => `
  let mood = 'answer'
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => (mood = line))
  const event = 'data: {"choices":[{"index":0,"delta":{"content":"from ${name}"},"finish_reason":null}]}\\n\\n'
  const end = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\\n\\ndata: [DONE]\\n\\n'
  const server = require('node:http').createServer((req, res) => {
    req.resume().on('end', () => {
      console.log('asked')
      if (mood === 'nothing') return
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(event, () => setImmediate(() => console.log('begun')))
      if (mood !== 'half') res.end(end)
    })
  })
  server.keepAliveTimeout = 0
  server.listen(0, '${address}', () => console.log('port ' + server.address().port))`

interface Running {
  readonly child: ChildProcessWithoutNullStreams
  /** Resolves once it has printed this so often. */
  readonly printed: (text: string, times?: number) => Promise<string>
}

function run(t: TestContext, [tool = '', ...rest]: readonly string[]): Running {
  const child = spawn(tool, rest, { stdio: 'pipe' })
  t.after(() => child.kill('SIGKILL'))
  let all = ''
  const looks = new Set<() => void>()
  child.stdout.on('data', (bytes: Buffer) => {
    all += bytes.toString()
    for (const look of looks) look()
  })
  const printed = (text: string, times = 1): Promise<string> =>
    new Promise((done) => {
      const look = (): void => {
        if (all.split(text).length > times) done(all)
      }
      looks.add(look)
      look()
    })
  return { child, printed }
}

interface Setup extends TwoNetworks {
  readonly a: Running
  readonly sidecar: Program
  /** A call whose answer is a stream; resolves with all of it, head included. */
  readonly call: (body?: string) => Running & { readonly whole: Promise<string> }
}

/** A sidecar with one upstream at the other end of a cable, and one beside it. */
async function start(t: TestContext, document: Document): Promise<Setup> {
  const networks = twoNetworks(t)
  const { here, there, addressThere } = networks
  const a = run(t, [...there, process.execPath, '-e', upstream(addressThere, 'a')])
  const b = run(t, [...here, process.execPath, '-e', upstream('127.0.0.1', 'b')])
  const portOf = async ({ printed }: Running): Promise<string> => /port (\d+)\n/.exec(await printed('port '))?.[1] ?? ''
  const config = {
    listen: { port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    control: { off: true },
    upstreams: [
      { name: 'a', url: `http://${addressThere}:${await portOf(a)}/v1`, tier: 1 },
      { name: 'b', url: `http://127.0.0.1:${await portOf(b)}/v1`, tier: 2 },
    ],
    ...document,
  }
  const file = tempFile(t, 'outrider.json', JSON.stringify(config))
  const sidecar = program(t, ['proxy', '--config', file], { before: `set -- ${here.join(' ')} "$@"` })
  const [, port] = await sidecar.printed(/listening on 127\.0\.0\.1:(\d+)/)
  const call: Setup['call'] = (body = '{"model":"m","stream":true}') => {
    const url = `http://127.0.0.1:${port}/v1/chat/completions`
    const json = ['-H', 'content-type: application/json', '-d', body]
    const client = run(t, [...here, 'curl', '-sSiN', '-m', '20', ...json, url])
    const whole = new Promise<string>((done) => {
      client.child.once('close', () => done(client.printed('')))
    })
    return { ...client, whole }
  }
  return { ...networks, a, sidecar, call }
}

const line = async ({ printed }: Program): Promise<{ tried: { upstream: string; outcome: unknown }[]; error?: string }> =>
  JSON.parse((await printed(/^\{.*"msg":"call".*"attempts":2.*$/m))[0]) as never

suite('half-open', { concurrency: true, skip: noNetworks() }, () => {
  test('a peer that is gone while its answer is waited for is replaced', async (t) => {
    const { a, sidecar, call, vanish } = await start(t, { timeouts: { firstEvent: '600ms' } })
    a.child.stdin.write('nothing\n')
    const { whole } = call()
    await a.printed('asked')
    vanish()
    assert.match(await whole, /^HTTP\/1\.1 200 [^]*x-outrider-upstream: b[^]*from b[^]*\[DONE\]/i)
    assert.deepEqual(
      (await line(sidecar)).tried.map(({ upstream: name, outcome }) => [name, outcome]),
      [
        ['a', 'first_event_timeout'],
        ['b', 200],
      ],
    )
  })

  test(
    'a peer that is gone in the middle of its stream ends it with an error, and nobody else is asked',
    { skip: noNetworks() },
    async (t) => {
      const { a, sidecar, call, vanish } = await start(t, { ...unresumed, timeouts: { idle: '600ms' } })
      a.child.stdin.write('half\n')
      const { whole, printed } = call()
      await printed('from a')
      vanish()
      assert.match(await whole, /from a[^]*event: error\ndata: .*"kind":"idle_timeout","fault":"upstream"/)
      const [told] = await sidecar.printed(/^\{.*"msg":"call".*$/m)
      const { attempts, error } = JSON.parse(told) as { attempts: number; error: string }
      assert.deepEqual([attempts, error], [1, 'idle_timeout'])
    },
  )

  test('a kept connection whose peer is gone costs the next call a wait, and no error', async (t) => {
    const { sidecar, call, vanish } = await start(t, { timeouts: { firstEvent: '600ms' } })
    assert.match(await call().whole, /from a/)
    vanish()
    assert.match(await call().whole, /from b[^]*\[DONE\]/)
    assert.deepEqual(
      (await line(sidecar)).tried.map(({ upstream: name, outcome }) => [name, outcome]),
      [
        ['a', 'first_event_timeout'],
        ['b', 200],
      ],
    )
  })

  test('a peer that was gone before anybody called is not reached, and another is', async (t) => {
    const { sidecar, call, vanish } = await start(t, { timeouts: { connect: '400ms' } })
    vanish()
    assert.match(await call().whole, /from b[^]*\[DONE\]/)
    const [first, second] = (await line(sidecar)).tried
    assert.ok(['connect_timeout', 'connect_failed'].includes(String(first?.outcome)), JSON.stringify(first))
    assert.deepEqual([second?.upstream, second?.outcome], ['b', 200])
  })

  // Its kernel would send the request again and again for a quarter of an hour, and what is no stream may take ten minutes.
  test('a call that is no stream and goes into the void is noticed, and another upstream is asked', async (t) => {
    const { sidecar, call, vanish } = await start(t, { timeouts: { write: '700ms' } })
    assert.match(await call('{"model":"m"}').whole, /from a/)
    vanish()
    assert.match(await call('{"model":"m"}').whole, /from b[^]*\[DONE\]/)
    assert.deepEqual(
      (await line(sidecar)).tried.map(({ upstream: name, outcome }) => [name, outcome]),
      [
        ['a', 'write_timeout'],
        ['b', 200],
      ],
    )
  })

  test('a call that has arrived may be thought about for as long as the whole of it may take', async (t) => {
    const { a, sidecar, call } = await start(t, { timeouts: { write: '200ms', total: '1s' } })
    assert.match(await call('{"model":"m"}').whole, /from a/)
    a.child.stdin.write('nothing\n')
    await call('{"model":"m"}').whole
    const [told] = await sidecar.printed(/^\{.*"msg":"call".*"error".*$/m)
    assert.match(told, /"error":"total_timeout"/)
  })
})
