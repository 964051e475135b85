import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { endianness } from 'node:os'
import { test, type TestContext } from 'node:test'
import timers from 'node:timers/promises'
import { halfClosed } from '../../sidecar/proxy/serve/halfClosed.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'
import { uploadHead, wireClient } from '../fixtures/wireClient.ts'

// A client had sent until nothing went through any more, and then left: what the sidecar reads ahead was full, its FIN stood behind megabytes
// in the kernels, and the attempt went on until the upstream's patience ended.

const readAhead = 8 * 1024 * 1024
const onLinux = { skip: process.platform !== 'linux' }

/** Reads the head of a request and then nothing, until told to: a close behind unread bytes is seen only by reading. */
async function reluctant(t: TestContext): Promise<{ url: string; read: () => void; closed: Promise<void> }> {
  const closed = Promise.withResolvers<void>()
  let held: Socket | undefined
  const server = createServer((socket) => {
    held = socket
    socket
      .on('error', () => {})
      .on('close', () => {
        closed.resolve()
      })
      .once('data', () => {
        socket.pause()
      })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    held?.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, read: () => held?.resume(), closed: closed.promise }
}

const piece = Buffer.alloc(64 * 1024, 'u')

/** Done once the kernel has taken a piece. */
const taken = (socket: Socket): Promise<true> =>
  new Promise((done) => {
    socket.write(piece, () => {
      done(true)
    })
  })

const ahead = (sidecar: Sidecar): number => sidecar.proxy.residue().heldBytes
const isFull = (sidecar: Sidecar): boolean => ahead(sidecar) >= readAhead
const blocked = (writing: Promise<true>): Promise<boolean> => Promise.race([writing.then(() => false), timers.setTimeout(100, true)])

/** Sends until the sidecar reads no further and nothing goes through any more. */
async function fill(socket: Socket, sidecar: Sidecar): Promise<void> {
  for (;;) {
    const writing = taken(socket)
    // Reading ahead begins after half a second, and the kernels are full before that.
    while (await blocked(writing)) if (isFull(sidecar)) return
  }
}

/** The same, but what is sent is all in the kernels, so that a FIN can follow it. */
async function fillJust(socket: Socket, sidecar: Sidecar): Promise<void> {
  let writing = taken(socket)
  while (!(await blocked(writing))) writing = taken(socket)
  await writing
  for (let sent = 0; !isFull(sidecar);) {
    if (ahead(sidecar) - sent < readAhead / 4) await timers.setImmediate()
    else {
      await taken(socket)
      sent += piece.length
    }
  }
}

for (const [how, leave, send] of [
  ['closes', (socket: Socket) => socket.destroy(), fill],
  ['resets', (socket: Socket) => socket.resetAndDestroy(), fill],
  ['half-closes', (socket: Socket) => socket.end(), fillJust],
] as const) {
  test(`a client that sends more than is read ahead and then ${how} its connection is noticed`, onLinux, async (t) => {
    const upstream = await reluctant(t)
    const sidecar = await startSidecar(t, upstream.url, { timeouts: { write: '10m', total: '10m' } })
    const client = await wireClient(t, sidecar.port, uploadHead(400e6))
    await send(client.socket, sidecar)
    leave(client.socket)
    assert.equal((await sidecar.callLine(0))['error'], 'client_gone')
    upstream.read()
    await upstream.closed
    const { inFlight, alarms, heldBytes } = sidecar.proxy.residue()
    assert.deepEqual({ inFlight, alarms, heldBytes }, { inFlight: 0, alarms: 0, heldBytes: 0 })
  })
}

test('a client that waits for longer than its connection is looked at is not taken for one that has left', onLinux, async (t) => {
  const upstream = await reluctant(t)
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { write: '10m', total: '10m' } })
  const client = await wireClient(t, sidecar.port, uploadHead(400e6))
  await fill(client.socket, sidecar)
  await timers.setTimeout(1_200)
  upstream.read()
  await taken(client.socket)
  assert.doesNotMatch(sidecar.log(), /client_gone/)
})

const title = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const rest = '00000000:00000000 00:00000000 00000000     0        0 1921003 1 00000000ac362ca8 100 0 0 10 0'
const table = (...rows: readonly string[]): string =>
  [title, ...rows.map((row, n) => `${String(n).padStart(4)}: ${row} ${rest}`), ''].join('\n')
const v4 = { localAddress: '127.0.0.1', localPort: 8080, remoteAddress: '10.1.2.3', remotePort: 51_000 }
const v6 = { localAddress: '::1', localPort: 8080, remoteAddress: 'fe80::12:34ff%eth0', remotePort: 51_000 }
const mapped = { ...v4, localAddress: '::ffff:127.0.0.1', remoteAddress: '::ffff:10.1.2.3' }
const ours4 = '0100007F:1F90 0302010A:C738'
const theirs4 = '0302010A:C738 0100007F:1F90'
const ours6 = '00000000000000000000000001000000:1F90 000080FE0000000000000000FF341200:C738'
const oursMapped = '0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000302010A:C738'
const listening = '00000000:1F90 00000000:0000 0A'

for (const [what, ends, rows, expected] of [
  ['an open connection', v4, [listening, `${ours4} 01`], false],
  ['one whose other end has closed', v4, [listening, `${ours4} 08`], true],
  ['one of IPv6, open', v6, [listening, `${ours6} 01`], false],
  ['one of IPv6, closed', v6, [`${ours6} 08`], true],
  ['one of IPv4 on a socket of IPv6, open', mapped, [listening, `${oursMapped} 01`], false],
  ['one of IPv4 on a socket of IPv6, closed', mapped, [`${oursMapped} 08`], true],
  ['one whose FIN waits behind its data, at the other end', v4, [`${theirs4} 04`, `${ours4} 01`], true],
  ['the same, between sockets of two kinds', mapped, [`${theirs4} 04`, `${oursMapped} 01`], true],
  ['an open one, both ends listed', v4, [`${theirs4} 01`, `${ours4} 01`], false],
  ['one that is gone', v4, [listening], true],
  ['one that is gone from a table that is not ours', v4, ['0100007F:0050 00000000:0000 0A'], false],
  ['another port of the same client', v4, [listening, `${ours4} 01`, '0100007F:1F90 0302010A:C739 08'], false],
] as const) {
  test(`the table of connections is read: ${what}`, { skip: endianness() === 'BE' }, async () => {
    assert.equal(await halfClosed(ends, () => Promise.resolve(table(...rows))), expected)
  })
}

test(
  'a connection that is missing once, from a table that changed while it was read, is not gone',
  { skip: endianness() === 'BE' },
  async () => {
    const tables = [table(listening), table(listening, `${ours4} 01`)]
    assert.equal(await halfClosed(v4, () => Promise.resolve(tables.shift())), false)
    assert.deepEqual(tables, [])
  },
)

test('without a table, and on a connection that is not of TCP, nobody is gone', async () => {
  assert.equal(await halfClosed(v4, () => Promise.resolve(undefined)), false)
  assert.equal(await halfClosed({}, () => Promise.resolve(table(listening))), false)
})

test('a connection that has no other end any more was reset', async () => {
  const reset = { localAddress: '127.0.0.1', localPort: 8080 }
  assert.equal(await halfClosed(reset, () => Promise.resolve(undefined)), true)
})
