import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { suite, test, type TestContext } from 'node:test'
import { wheel } from '../../sidecar/proxy/clock.ts'
import { connector, type Place } from '../../sidecar/proxy/upstream/connector.ts'
import { names, type Names } from '../../sidecar/proxy/upstream/names.ts'
import { nameServer } from '../fixtures/nameServer.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

/** Names with a clock that the test moves. */
function resolving(cacheMs = 300_000) {
  const server = nameServer()
  let time = 1_000
  const { resolve, forget } = names({ now: () => time, cacheMs, aliases: { 'Alias.example': ['127.0.0.2', '::1'] }, lookup: server.lookup })
  const ask = (host: string): Promise<string> =>
    new Promise((done) => {
      resolve(host, (err, addresses, remembered) => {
        done(err === null ? `${addresses.map(({ address }) => address).join(' ')}${remembered ? ' (remembered)' : ''}` : String(err.code))
      })
    })
  const pass = (ms: number): void => {
    time += ms
  }
  return { server, ask, forget, pass }
}

suite('names', () => {
  test('an answer is remembered for network.dnsCache and no longer', async () => {
    const { server, ask, pass } = resolving(10_000)
    const first = ask('a')
    server.answer('192.0.2.1', '192.0.2.2')
    assert.equal(await first, '192.0.2.1 192.0.2.2')
    pass(9_999)
    assert.equal(await ask('a'), '192.0.2.1 192.0.2.2 (remembered)')
    pass(1)
    const second = ask('a')
    server.answer('192.0.2.3')
    assert.equal(await second, '192.0.2.3')
    assert.deepEqual(server.asked, ['a', 'a'])
  })

  test('with 0s every connection asks, but those that ask at once share a lookup', async () => {
    const { server, ask } = resolving(0)
    for (let n = 1; n <= 3; n++) {
      const all = [ask('a'), ask('a'), ask('a')]
      assert.equal(server.open(), 1)
      server.answer(`192.0.2.${n}`)
      assert.deepEqual(new Set(await Promise.all(all)), new Set([`192.0.2.${n}`]))
    }
    const both = [ask('a'), ask('b')]
    assert.equal(server.open(), 2)
    server.answer('192.0.2.8')
    server.answer('192.0.2.9')
    assert.deepEqual(await Promise.all(both), ['192.0.2.8', '192.0.2.9'])
  })

  test('while the resolver fails the old answer serves, and it is asked again later, not at each call', async () => {
    const { server, ask, pass } = resolving(10_000)
    const first = ask('a')
    server.answer('192.0.2.1')
    await first
    pass(10_000)
    const late = [ask('a'), ask('a')]
    server.fail('EAI_AGAIN')
    assert.deepEqual(await Promise.all(late), ['192.0.2.1', '192.0.2.1'])
    assert.equal(await ask('a'), '192.0.2.1 (remembered)')
    pass(5_000)
    const healed = ask('a')
    server.answer('192.0.2.2')
    assert.equal(await healed, '192.0.2.2')
  })

  test('a resolver that does not answer holds nobody up who has an old answer', async () => {
    const { server, ask, pass } = resolving(10_000)
    const first = ask('a')
    server.answer('192.0.2.1')
    await first
    pass(10_000)
    assert.equal(await ask('a'), '192.0.2.1')
    assert.equal(server.open(), 1)
    server.answer('192.0.2.2')
    assert.equal(await ask('a'), '192.0.2.2 (remembered)', 'the late answer is kept')
  })

  test('a first question that fails fails, and is asked again', async () => {
    const { server, ask } = resolving()
    const first = [ask('a'), ask('a')]
    server.fail('ENOTFOUND')
    assert.deepEqual(await Promise.all(first), ['ENOTFOUND', 'ENOTFOUND'])
    const second = ask('a')
    server.answer('192.0.2.1')
    assert.equal(await second, '192.0.2.1')
  })

  test('what was forgotten is asked for again, and still serves when that fails', async () => {
    const { server, ask, forget } = resolving()
    const first = ask('a')
    server.answer('192.0.2.1')
    await first
    forget('a')
    forget('b')
    const second = ask('a')
    server.fail()
    assert.equal(await second, '192.0.2.1')
    forget('a')
    const third = ask('a')
    server.answer('192.0.2.2')
    assert.equal(await third, '192.0.2.2')
  })

  test('aliases and addresses ask nobody, in whatever case, and odd names are no aliases', async () => {
    const { server, ask } = resolving()
    assert.equal(await ask('alias.example'), '127.0.0.2 ::1')
    assert.equal(await ask('192.0.2.1'), '192.0.2.1')
    assert.equal(await ask('fd00::2'), 'fd00::2')
    assert.deepEqual(server.asked, [])
    const odd = ask('constructor')
    server.fail('ENOTFOUND')
    assert.equal(await odd, 'ENOTFOUND')
  })
})

/** A server on one address of the loopback, on the port of the others. */
async function serveOn(t: TestContext, address: string, port = 0): Promise<{ server: Server; port: number; count: () => number }> {
  let count = 0
  const server = createServer((_req, res) => {
    count++
    res.setHeader('connection', 'close')
    res.end('{}')
  }).listen(port, address)
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { server, port: (server.address() as AddressInfo).port, count: () => count }
}

const call = (sidecar: Sidecar): Promise<Response> => fetch(`${sidecar.url}/models`, { signal: AbortSignal.timeout(10_000) })

test('every address of a name gets a turn, of whatever family', async (t) => {
  const second = await serveOn(t, '127.0.0.3')
  const document = { network: { hostAliases: { 'model.example': ['127.0.0.2', '127.0.0.3'] } } }
  const sidecar = await startSidecar(t, `http://model.example:${second.port}`, document)
  assert.equal((await call(sidecar)).status, 200)
  const addressed = await startSidecar(t, `http://192.0.2.1:${second.port}`, {}, { addresses: ['::1', '127.0.0.2', '127.0.0.3'] })
  assert.equal((await call(addressed)).status, 200)
  assert.equal(second.count(), 2)

  second.server.close()
  const reply = await call(sidecar)
  assert.equal(reply.status, 502)
  assert.equal(reply.headers.get('x-outrider-error'), 'connect_failed')
  assert.match(await reply.text(), /no connection to model\.example:\d+ \(.*ECONNREFUSED 127\.0\.0\.2.*; .*ECONNREFUSED 127\.0\.0\.3/)
})

test('a name that leads nowhere is told as such', async (t) => {
  const reply = await call(await startSidecar(t, 'http://model.invalid'))
  assert.equal(reply.status, 502)
  assert.equal(reply.headers.get('x-outrider-error'), 'dns_failed')
  assert.match(
    await reply.text(),
    /the name of the host in model\.invalid:80 does not resolve \((?:ENOTFOUND: no name server knows it|EAI_AGAIN: no name server answered)\)/,
  )
})

/** Opens one connection and closes it again; `undefined` where it worked. */
function dial(place: Place, known: Names, timeoutMs = 5_000): Promise<string | undefined> {
  return new Promise((done) => {
    connector({ place, names: known, clock: wheel(), timeoutMs, forUndici: false }).dial((err, socket) => {
      socket?.destroy()
      done(err?.kind)
    })
  })
}

test('where a remembered address refuses, the name is asked for once more, and only then', async (t) => {
  const { port } = await serveOn(t, '127.0.0.3')
  const server = nameServer()
  const known = names({ now: () => 0, cacheMs: 300_000, aliases: {}, lookup: server.lookup })
  const place: Place = { host: 'model.example', port, tls: undefined, addresses: undefined, egress: undefined }
  const answered = async (dialling: Promise<string | undefined>, ...addresses: string[]): Promise<string | undefined> => {
    while (server.open() === 0) await new Promise(setImmediate)
    server.answer(...addresses)
    return dialling
  }
  assert.equal(await answered(dial(place, known), '127.0.0.2'), 'connect_failed')
  assert.equal(server.asked.length, 1, 'an answer of just now is not asked for again')
  assert.equal(await answered(dial(place, known), '127.0.0.3'), undefined)
  assert.equal(server.asked.length, 2, 'the upstream has moved')
  assert.equal(await dial(place, known), undefined)
  assert.equal(server.asked.length, 2)
})

/** A port that is open and takes no connection: what is sent to it is lost, as what is sent to an address that is nobody's. */
async function silentOn(t: TestContext, host: string, port: number): Promise<void> {
  const source = `require('node:net').createServer().listen({ host: '${host}', port: ${port}, backlog: 1 }, () => {
    require('node:fs').writeSync(1, 'listening')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  // The kernel takes two for a listener that has room for one; whoever comes later gets no answer.
  for (let n = 0; n < 2; n++) {
    const socket = connect(port, host)
    t.after(() => socket.destroy())
    await once(socket, 'connect')
  }
}

// A headless Service names its pods. After they had been replaced, a call waited for timeouts.connect at addresses that were nobody's.
test('where a remembered address says nothing, the name is asked for once more, and a new answer is followed', async (t) => {
  const { port } = await serveOn(t, '127.0.0.3')
  await silentOn(t, '127.0.0.2', port)
  const server = nameServer()
  const known = names({ now: () => 0, cacheMs: 300_000, aliases: {}, lookup: server.lookup })
  const place: Place = { host: 'model.example', port, tls: undefined, addresses: undefined, egress: undefined }
  known.resolve('model.example', () => {})
  server.answer('127.0.0.2')
  const dialling = dial(place, known)
  await until(() => server.open() === 1)
  server.answer('127.0.0.3')
  assert.equal(await dialling, undefined)
})

test('a remembered address that is slow and still the right one is waited for', async (t) => {
  const { port } = await serveOn(t, '127.0.0.3')
  await silentOn(t, '127.0.0.2', port)
  const server = nameServer()
  const known = names({ now: () => 0, cacheMs: 300_000, aliases: {}, lookup: server.lookup })
  const place: Place = { host: 'model.example', port, tls: undefined, addresses: undefined, egress: undefined }
  known.resolve('model.example', () => {})
  server.answer('127.0.0.2')
  const dialling = dial(place, known, 1_500)
  await until(() => server.open() === 1)
  server.answer('127.0.0.2')
  assert.equal(await dialling, 'connect_timeout')
  assert.equal(server.asked.length, 2)
})

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate)
}
