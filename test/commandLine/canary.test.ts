import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { answers, chat, provider, type Step } from '../fixtures/provider.ts'
import { program, runOutrider, tempFile, type Outrider } from '../fixtures/runOutrider.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { ask } from '../fixtures/startUpstreams.ts'

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

async function canary(t: TestContext, ...args: string[]): Promise<Ended> {
  const running = program(t, ['canary', ...args])
  const { code } = await running.exit
  const ended = { code, out: running.stdout(), err: running.stderr() }
  assert.doesNotMatch(ended.out + ended.err, /\n\s+at .*[:(]|node:internal|file:\/\//, 'a stack trace')
  return ended
}

interface Running {
  readonly outrider: Outrider
  /** Options that lead to it. */
  readonly there: readonly string[]
  readonly token: readonly string[]
}

async function running(t: TestContext, ofCanary: Step = chat('new'), document: Document = {}, controlPort = 0): Promise<Running> {
  const [old, next] = [await provider(t, chat('old')), await provider(t, ofCanary)]
  const tokenFile = tempFile(t, 'token', 'secret-of-the-pipeline\n')
  const outrider = await runOutrider(t, old.url, {
    upstreams: [
      { name: 'old', url: `${old.url}/v1`, credential: 'fake' },
      { name: 'new', url: `${next.url}/v1`, credential: 'fake' },
    ],
    routes: [{ name: 'chat', models: ['*'], canary: { upstreams: ['new'], minimumCalls: 5 } }],
    control: { off: false, port: controlPort, tokenFile },
    ...document,
  })
  const [, port = ''] = await outrider.printed(/control port (\d+)/)
  return { outrider, there: ['--control', `http://localhost:${port}`], token: ['--token-file', tokenFile] }
}

test('status tells what goes where and how both sides fare, for people and as JSON', async (t) => {
  const { outrider, there } = await running(t)
  await ask(outrider, {}, { 'x-canary': 'false' })
  const { code, out, err } = await canary(t, 'status', ...there)
  assert.deepEqual([code, err], [0, ''])
  assert.match(
    out,
    /^route chat: running, 10 of a hundred calls go to the canary \(at new\)\n {2}since {3}\S+Z: as configured \(version 1, configured 10\)\n {2}canary {2}no calls within 10 min\n {2}stable {2}no calls\n$/,
  )
  const { routes } = JSON.parse((await canary(t, 'status', '--json', '--route', 'chat', ...there)).out) as {
    routes: { route: string; weights: object; since_start: { stable: object } }[]
  }
  assert.deepEqual([routes[0]?.route, routes[0]?.weights], ['chat', { stable: 90, canary: 10 }])
  assert.deepEqual(routes[0]?.since_start.stable, { good: 1, failed: 0, refused: 0 })
})

test('set, promote, rollback and reset change the weight of the running process and say so', async (t) => {
  const { outrider, there, token } = await running(t)
  const steps: [args: string[], line: RegExp][] = [
    [['set', '25.5%', '--reason', 'release 1.4.0'], /has the weight 25\.5 now, after 10 \(version 2\)\.\n$/],
    [['promote'], /has the weight 100 now, after 25\.5 \(version 3\)\.\n$/],
    [['rollback'], /has the weight 0 now, after 100 \(version 4\)\.\n$/],
    [['rollback'], /has the weight 0 now, after 0 \(version 4\)\.\n$/],
    [['reset', '--route', 'chat'], /has the weight 10 now, after 0 \(version 5\)\.\n$/],
  ]
  for (const [args, line] of steps) {
    const { code, out, err } = await canary(t, ...args, ...there, ...token)
    assert.equal(code, 0, err)
    assert.match(out, line)
    assert.equal(err, 'It lasts until the process ends: control.stateFile in its config would keep it.\n')
  }
  await outrider.printed('set at run time: release 1.4.0')
  const { weights } = JSON.parse((await canary(t, 'set', '5', '--json', ...there, ...token)).out) as { weights: object }
  assert.deepEqual(weights, { stable: 95, canary: 5 })
})

test('what cannot be done is one line and 1: a version that is past, a canary that is rolled back, a wrong token, another route', async (t) => {
  const { there, token } = await running(t)
  const cases: [args: string[], line: RegExp][] = [
    [
      ['set', '20', '--version', '7', ...token],
      /^The canary of route chat is at version 1 \(as configured\), not 7: nothing was changed\.\n$/,
    ],
    [['set', '20', '--route', 'chta', ...token], /^The control port answers 404: There is no such route\. There are: chat, default\.\n$/],
    [
      ['set', '20', '--token-file', tempFile(t, 'token', 'wrong')],
      /^The control port answers 401: A change needs the token of control\.tokenFile.*\n$/,
    ],
    [['set', '20', '--token-file', '/nowhere/token'], /^The token file \/nowhere\/token does not exist.*\.\n$/],
    [['set', '20', '--token-file', tempFile(t, 'token', '\n')], /^The token file \S+ holds no token of plain ASCII\.\n$/],
  ]
  for (const [args, line] of cases) {
    const { code, out, err } = await canary(t, ...args, ...there)
    assert.deepEqual([code, out], [1, ''])
    assert.match(err, line)
  }
  await canary(t, 'rollback', ...there, ...token)
  const promoted = await canary(t, 'promote', ...there, ...token)
  assert.deepEqual(promoted, {
    code: 1,
    out: '',
    err: 'The control port answers 409: The canary is rolled back: set a weight, or reset it, before it is promoted.\n',
  })
})

test('where no route has a canary, or several have one, it says so', async (t) => {
  const none = await running(t, chat('new'), { routes: [{ name: 'plain', models: ['*'] }] })
  assert.equal((await canary(t, 'status', ...none.there)).out, 'No route of this process has a canary.\n')
  assert.equal((await canary(t, 'watch', ...none.there)).err, 'No route of this process has a canary.\n')
  assert.equal((await canary(t, 'watch', '--route', 'plain', ...none.there)).err, 'The route plain has no canary.\n')
  const routes = ['one', 'two'].map((name) => ({ name, models: [name], canary: { upstreams: ['new'] } }))
  const two = await running(t, chat('new'), { routes })
  const { code, err } = await canary(t, 'promote', ...two.there, ...two.token)
  assert.deepEqual([code, err], [1, 'Several routes have a canary: name one with --route (one, two).\n'])
  assert.match((await canary(t, 'status', ...two.there)).out, /^route one: [^]*\nroute two: /)
})

test('nobody there, something else there, and a port that is not its own are told as such', async (t) => {
  const page = createServer((_req, res) => res.end('<html>hello</html>')).listen(0, '127.0.0.1')
  t.after(() => page.close())
  await once(page, 'listening')
  const at = `http://127.0.0.1:${(page.address() as AddressInfo).port}`
  assert.deepEqual(await canary(t, 'status', '--control', at), {
    code: 1,
    out: '',
    err: 'The control port answers 200: <html>hello</html>\n',
  })
  page.close()
  page.closeAllConnections()
  await once(page, 'close')
  const { code, err } = await canary(t, 'status', '--control', at)
  assert.equal(code, 1)
  assert.match(
    err,
    /^http:\/\/127\.0\.0\.1:\d+\/control\/routes cannot be asked: nobody listens there\. Is a sidecar running, .*--control\)\?\n$/,
  )
})

test('a watch in which the canary did well ends with 0 and says how well', async (t) => {
  const { outrider, there, token } = await running(t)
  await canary(t, 'set', '100', ...there, ...token)
  const watching = program(t, ['canary', 'watch', '--for', '5s', '--calls', '4', ...there])
  await watching.printed('route chat: running, weight 100; canary no calls')
  for (let n = 0; n < 4; n++) await ask(outrider)
  assert.deepEqual(await watching.exit, { code: 0, signal: null })
  assert.match(watching.stdout(), /\nThe canary of route chat went well: 4 calls, 0 failed \(0 %\)\.\n$/)
})

test('a watch in which the canary got too few calls proves nothing, and ends with 1', async (t) => {
  const { there } = await running(t)
  const { code, err } = await canary(t, 'watch', '--for', '100ms', ...there)
  assert.deepEqual([code, err], [1, 'The canary of route chat got 0 calls in that time, which proves nothing: --calls says 1.\n'])
  assert.equal((await canary(t, 'watch', '--for', '100ms', '--calls', '0', ...there)).code, 0)
})

test('a watch ends with 67 as soon as the canary is rolled back, and later ones do so at once until it is reset', async (t) => {
  const { outrider, there, token } = await running(t, answers(500))
  await canary(t, 'set', '100', ...there, ...token)
  const watching = program(t, ['canary', 'watch', '--for', '10m', ...there])
  await watching.printed('route chat: running, weight 100')
  for (let n = 0; n < 5; n++) assert.equal((await ask(outrider)).status, 200)
  assert.deepEqual(await watching.exit, { code: 67, signal: null })
  const line =
    'The canary of route chat was rolled back: 5 of 5 calls failed (100 %, more than 10 %), with too few on the stable side to compare.\n'
  assert.equal(watching.stderr(), line)
  const again = await canary(t, 'watch', '--json', '--for', '10m', ...there)
  assert.equal(again.code, 67)
  const lines = again.out
    .trim()
    .split('\n')
    .map((one) => JSON.parse(one) as Record<string, unknown>)
  assert.deepEqual([lines[0]?.['state'], lines.at(-1)?.['ended'], lines.at(-1)?.['exit_code']], ['rolled_back', false, 67])
  await canary(t, 'reset', ...there, ...token)
  assert.equal((await canary(t, 'watch', '--for', '100ms', '--calls', '0', ...there)).code, 0)
})

test('a watch goes on over a restart of the process', async (t) => {
  const { outrider, there } = await running(t)
  const watching = program(t, ['canary', 'watch', '--for', '10m', ...there])
  await watching.printed('route chat: running, weight 10')
  outrider.child.kill('SIGKILL')
  await outrider.exit
  while (!watching.stderr().includes('nobody listens there')) await once(watching.child.stderr, 'data')
  const again = await running(t, chat('new'), {}, Number(new URL(there[1] ?? '').port))
  assert.equal((await canary(t, 'rollback', ...again.there, ...again.token)).code, 0)
  assert.equal((await watching.exit).code, 67)
  assert.match(watching.stderr(), /\nThe canary of route chat was rolled back: rolled back by hand\.\n$/)
})

test('a command line that cannot be meant ends with 2 and says what would be right', async (t) => {
  const cases: [args: string[], sentence: RegExp][] = [
    [[], /^canary needs one of status, set, promote, rollback, reset, watch\.\n/],
    [['promot'], /^canary has no "promot"\. Did you mean promote\?\n/],
    [['set'], /^canary set takes one weight, such as 25: so many of a hundred calls\.\n/],
    [['set', '1', '2'], /^canary set takes one weight/],
    [['set', '101', '--token-file', 'x'], /^"101" is no weight: write a number from 0 to 100\.\n/],
    [['set', '5'], /^canary set needs --token-file: the file with the token, /],
    [['status', 'chat'], /^canary status takes options only, and "chat" is none\.\n/],
    [['status', '--for', '5m'], /^canary status has no option --for\.\n/],
    [['watch', '--for', 'ever'], /^--for must be a duration up to 24 days, such as 30s or 10m, not "ever"\.\n/],
    [['watch', '--calls', 'many'], /^--calls must be a whole number, not "many"\.\n/],
    [
      ['watch', '--control', 'localhost:9091'],
      /^--control must be a whole URL that starts with http:\/\/, such as http:\/\/localhost:9091\.\n/,
    ],
    [['watch', '--rout', 'x'], /^canary has no option --rout\. Did you mean --route\?\n/],
  ]
  for (const [args, sentence] of cases) {
    const { code, out, err } = await canary(t, ...args)
    assert.deepEqual([code, out], [2, ''], args.join(' '))
    assert.match(err, sentence)
    assert.match(err, /^[^\n]+\n\nUsage: outrider canary [^\n]+\noutrider canary --help tells more\.\n$/)
  }
})
