import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { wheel, type Clock } from '../../sidecar/proxy/clock.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { cancel, newLife, type Life } from '../../sidecar/proxy/life.ts'
import type { Connection } from '../../sidecar/proxy/upstream/connection.ts'
import { pool, type Pool } from '../../sidecar/proxy/upstream/pool.ts'
import { closing } from '../fixtures/closing.ts'

interface Bench {
  readonly clock: Clock
  readonly pool: Pool
  /** Ends of the upstream, in the order of connecting. */
  readonly accepted: Socket[]
  /** The dials under way. */
  readonly dials: { succeed: () => Promise<void>; fail: () => void }[]
  readonly givenUp: () => number
  readonly take: (life?: Life, fresh?: boolean) => Promise<Connection>
}

/** A pool whose connections are real and come when the test says so. */
async function bench(t: TestContext, connections: number, idleMs = 4_000, waitMs = 5_000, protocol = 'http/1.1'): Promise<Bench> {
  const clock = wheel()
  const accepted: Socket[] = []
  const dials: Bench['dials'] = []
  let givenUp = 0
  const server = createServer((socket) => accepted.push(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const connector = {
    dial: (done: (err: SidecarError | undefined, socket?: Socket) => void) => {
      const dialled = {
        succeed: async () => {
          dials.splice(dials.indexOf(dialled), 1)
          const arrived = once(server, 'connection')
          const socket = connect(port, '127.0.0.1')
          await Promise.all([once(socket, 'connect'), arrived])
          done(undefined, Object.assign(socket, { alpnProtocol: protocol }))
        },
        fail: () => {
          dials.splice(dials.indexOf(dialled), 1)
          done(new SidecarError('connect_failed', 'told to fail'))
        },
      }
      dials.push(dialled)
      return () => {
        givenUp++
        dials.splice(dials.indexOf(dialled), 1)
      }
    },
  }
  const under = pool({ origin: `http://127.0.0.1:${port}`, connector, clock, connections, waitMs, idleMs, headerBytes: 16_384 })
  const close = (): void => {
    under.close()
    server.close()
    for (const socket of accepted) socket.destroy()
  }
  closing(t, close, () => {
    assert.equal(clock.pending(), 0)
  })
  const take = (life = newLife(), fresh = false): Promise<Connection> =>
    new Promise((give, refuse) => {
      under.take(life, fresh, give, refuse)
    })
  return { clock, pool: under, accepted, dials, givenUp: () => givenUp, take }
}

/** A busy connection, and one under way for a call that is then served by the first. */
async function surplus({ dials, take, pool: under }: Bench): Promise<void> {
  const first = take()
  await dials[0]?.succeed()
  const busy = await first
  busy.uses++
  const second = take()
  under.giveBack(busy)
  assert.equal(await second, busy)
  assert.equal(dials.length, 1)
  await dials[0]?.succeed()
}

test('a connection under way for a call that another connection served is kept for the next one', async (t) => {
  const it = await bench(t, 2)
  await surplus(it)
  assert.deepEqual(it.pool.stats(), { open: 2, busy: 1, waiting: 0 })
  assert.equal(it.givenUp(), 0)
  const third = await it.take()
  assert.equal(third.uses, 0)
  assert.deepEqual(it.pool.stats(), { open: 2, busy: 2, waiting: 0 })
})

test('a kept connection that no call has used harms nobody when the upstream resets or closes it', async (t) => {
  for (const end of ['resetAndDestroy', 'end'] as const) {
    const it = await bench(t, 2)
    await surplus(it)
    it.accepted[1]?.[end]()
    while (it.pool.stats().open > 1) await new Promise((done) => setImmediate(done))
  }
})

test('a kept connection that no call has used ages like the others', async (t) => {
  const it = await bench(t, 2, 100)
  await surplus(it)
  const [, unused] = it.accepted
  assert.ok(unused)
  unused.resume()
  await once(unused, 'close')
  while (it.pool.stats().open > 1) await new Promise((done) => setImmediate(done))
})

test('a call that leaves takes its own dial with it, and no one else is held up', async (t) => {
  const it = await bench(t, 2)
  const life = newLife()
  const leaving = it.take(life)
  const staying = it.take()
  assert.equal(it.dials.length, 2)
  cancel(life, new SidecarError('client_gone', 'left'))
  await assert.rejects(leaving, { kind: 'client_gone' })
  assert.equal(it.givenUp(), 1)
  await it.dials[0]?.succeed()
  assert.ok(await staying)
})

test('a dial that fails is told to one call, and the next in the queue gets a dial of its own', async (t) => {
  const it = await bench(t, 1)
  const [first, second, third] = [it.take(), it.take(), it.take()]
  it.dials[0]?.fail()
  await assert.rejects(first, { kind: 'connect_failed' })
  assert.equal(it.dials.length, 1)
  it.dials[0]?.fail()
  await assert.rejects(second, { kind: 'connect_failed' })
  await it.dials[0]?.succeed()
  assert.ok(await third)
})

test('a call that wants a new connection gets none that was used, though the only one allowed is idle', async (t) => {
  const it = await bench(t, 1)
  const first = it.take()
  await it.dials[0]?.succeed()
  const used = await first
  used.uses++
  it.pool.giveBack(used)
  await Promise.resolve()
  const fresh = it.take(newLife(), true)
  await it.dials[0]?.succeed()
  assert.notEqual(await fresh, used)
  assert.equal(it.pool.stats().open, 1)
})

test('a call that wants a new connection waits until the only one allowed is given back, and replaces it', async (t) => {
  const it = await bench(t, 1)
  const first = it.take()
  await it.dials[0]?.succeed()
  const used = await first
  used.uses++
  const fresh = it.take(newLife(), true)
  assert.equal(it.dials.length, 0)
  it.pool.giveBack(used)
  await Promise.resolve()
  await it.dials[0]?.succeed()
  assert.notEqual(await fresh, used)
})

test('a pool that is closed sends away those who wait and dials no more', async (t) => {
  const it = await bench(t, 1)
  const first = it.take()
  await it.dials[0]?.succeed()
  await first
  const second = it.take()
  it.pool.close()
  await assert.rejects(second, { kind: 'draining' })
  assert.equal(it.dials.length, 0)
})

test('a connection that is given back and dies in the same turn is given to nobody', async (t) => {
  const it = await bench(t, 1)
  const first = it.take()
  await it.dials[0]?.succeed()
  const dying = await first
  const second = it.take()
  it.pool.giveBack(dying)
  dying.socket.destroy()
  while (it.dials.length === 0) await new Promise((done) => setImmediate(done))
  await it.dials[0]?.succeed()
  assert.notEqual(await second, dying)
})

test('a call whose dial was taken by one with older rights is still bounded in its wait', async (t) => {
  const it = await bench(t, 2, 4_000, 150)
  const first = it.take()
  await it.dials[0]?.succeed()
  await first
  const [second, third] = [it.take(), it.take()]
  const fresh = it.take(newLife(), true)
  await it.dials[0]?.succeed()
  assert.ok(await fresh)
  const outcomes = await Promise.allSettled([second, third])
  for (const outcome of outcomes) assert.equal(outcome.status === 'rejected' && outcome.reason.kind, 'pool_timeout')
})

test('one connection of HTTP/2 is enough for all who wait, and other dials are given up', async (t) => {
  const it = await bench(t, 10, 4_000, 5_000, 'h2')
  const many = Array.from({ length: 10 }, () => it.take())
  assert.equal(it.dials.length, 10)
  await it.dials[0]?.succeed()
  const given = new Set(await Promise.all(many))
  assert.equal(given.size, 1)
  assert.equal(it.givenUp(), 9)
  assert.deepEqual(it.pool.stats(), { open: 1, busy: 1, waiting: 0 })
})
