import type { Socket } from 'node:net'
import Client from 'undici/lib/dispatcher/client.js'
import type { Alarm, Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { offCancel, onCancel, type Life } from '../life.ts'
import type { Connector } from './connector.ts'
import { dropContinues } from './continues.ts'

/** One connection: an undici Client that owns exactly one socket and dies with it. */
export interface Connection {
  readonly client: Client
  readonly socket: Socket
  /** Attempts that were begun on it. */
  uses: number
  /** Attempts on it now; more than one only over HTTP/2. */
  busy: number
  readonly capacity: number
  alive: boolean
  /** Called before each attempt: the next answer may begin with interim ones. */
  readonly expectHead: () => void
}

export interface Pool {
  /** Gives a connection, at once when one is free; refuses when none becomes free in time or none can be opened. */
  readonly take: (life: Life, fresh: boolean, give: (connection: Connection) => void, refuse: (err: SidecarError) => void) => void
  readonly giveBack: (connection: Connection) => void
  readonly stats: () => { open: number; busy: number; waiting: number }
  readonly close: () => void
}

export interface PoolOptions {
  readonly origin: string
  readonly connector: Connector
  readonly clock: Clock
  readonly connections: number
  readonly waitMs: number
  readonly idleMs: number
  readonly headerBytes: number
}

interface Waiter {
  readonly give: (connection: Connection) => void
  readonly refuse: (err: SidecarError) => void
  readonly life: Life
  readonly leave: (reason: SidecarError) => void
  alarm: Alarm | undefined
}

/**
 * Connections to one upstream, and the queue for them. Ours, because undici's pool queues without bound, cannot give up a call that waits
 * or connects, and looks at every connection for each call.
 */
export function pool(options: PoolOptions): Pool {
  const { clock, connector, connections, waitMs } = options
  const all = new Set<Connection>()
  /** The last used first: it is the least likely to have gone stale, and the others may age out. */
  const free: Connection[] = []
  const waiters: Waiter[] = []
  const dialling = new Set<() => void>()

  const take: Pool['take'] = (life, fresh, give, refuse) => {
    for (let connection = fresh ? undefined : free.pop(); connection !== undefined; connection = free.pop()) {
      if (connection.alive) return begin(connection, give)
    }
    const waiter: Waiter = {
      give,
      refuse,
      life,
      leave: (reason) => {
        drop(waiter)
        refuse(reason)
      },
      alarm: undefined,
    }
    onCancel(life, waiter.leave)
    if (life.cancelled !== undefined) return
    waiters.push(waiter)
    if (dialling.size < waiters.length && all.size + dialling.size < connections) dial()
    else
      waiter.alarm = clock.set(waitMs, () => {
        waiter.leave(busyFor(connections, waitMs))
      })
  }

  const begin = (connection: Connection, give: (connection: Connection) => void): void => {
    connection.busy++
    if (connection.busy < connection.capacity) free.push(connection)
    give(connection)
  }

  const drop = (waiter: Waiter): void => {
    const at = waiters.indexOf(waiter)
    if (at >= 0) waiters.splice(at, 1)
    clock.clear(waiter.alarm)
    offCancel(waiter.life, waiter.leave)
    // A connection that nobody waits for any more need not be opened.
    for (const giveUp of dialling) {
      if (dialling.size <= waiters.length) break
      dialling.delete(giveUp)
      giveUp()
    }
  }

  const dial = (): void => {
    let settled = false
    const giveUp = connector.dial((err, socket) => {
      settled = true
      dialling.delete(giveUp)
      const [waiter] = waiters
      if (socket !== undefined) return offer(open(socket))
      if (waiter === undefined || err === undefined) return
      drop(waiter)
      waiter.refuse(err)
    })
    if (!settled) dialling.add(giveUp)
  }

  const open = (socket: Socket): Connection => {
    const h2 = (socket as { alpnProtocol?: string | false }).alpnProtocol === 'h2'
    let handed = false
    const client = new Client(options.origin, {
      connect: (_options, answer) => {
        // Once only: a Client that wants to dial again has lost its connection and is finished.
        if (handed) answer(new SidecarError('connect_failed', 'the connection is gone'), null)
        // Not at once: inside of its own turn the Client would not notice that it is connected.
        else
          queueMicrotask(() => {
            answer(null, socket)
          })
        handed = true
      },
      pipelining: 1,
      allowH2: h2,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: options.idleMs,
      maxHeaderSize: options.headerBytes,
      ...(h2 ? { h2Options: { maxConcurrentStreams: streamsPerConnection } } : {}),
    })
    const expectHead = h2 ? () => {} : dropContinues(socket)
    const connection: Connection = { client, socket, uses: 0, busy: 0, capacity: h2 ? streamsPerConnection : 1, alive: true, expectHead }
    all.add(connection)
    client.on('disconnect', () => {
      lose(connection)
    })
    socket.once('close', () => {
      lose(connection)
    })
    return connection
  }

  const lose = (connection: Connection): void => {
    if (!connection.alive) return
    connection.alive = false
    all.delete(connection)
    const at = free.indexOf(connection)
    if (at >= 0) free.splice(at, 1)
    connection.client.destroy().catch(() => {})
    if (waiters.length > dialling.size && all.size + dialling.size < connections) dial()
  }

  const offer = (connection: Connection): void => {
    const [waiter] = waiters
    if (waiter === undefined) {
      free.push(connection)
      return
    }
    drop(waiter)
    begin(connection, waiter.give)
  }

  const giveBack = (connection: Connection): void => {
    const wasFull = connection.busy === connection.capacity
    connection.busy--
    if (!connection.alive || !wasFull) return
    offer(connection)
  }

  return {
    take,
    giveBack,
    stats: () => ({ open: all.size, busy: all.size - free.length, waiting: waiters.length }),
    close: () => {
      for (const giveUp of dialling) giveUp()
      for (const connection of all) connection.client.destroy().catch(() => {})
    },
  }
}

const streamsPerConnection = 100

const busyFor = (connections: number, waitMs: number): SidecarError =>
  new SidecarError('pool_timeout', `all ${connections} connections to the upstream stayed busy for ${waitMs / 1_000} s`)
