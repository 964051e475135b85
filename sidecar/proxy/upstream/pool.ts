import type { Socket } from 'node:net'
import symbols from 'undici/lib/core/symbols.js'
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
  /** It has room and stands in the list of those that have. */
  listed: boolean
  /** Called before each attempt: the next answer may begin with interim ones. */
  readonly expectHead: () => void
  /** The upstream has answered `100 Continue` since. */
  readonly continued: () => boolean
  /** The first error of the socket: undici knows the last, and the alert of a TLS peer is followed by a mere end. */
  readonly fault: () => Error | undefined
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
  /** Takes no connection that has carried a call. */
  readonly fresh: boolean
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
  const dialling: (() => void)[] = []
  let closed = false

  const take: Pool['take'] = (life, fresh, give, refuse) => {
    for (let connection = fresh ? undefined : free.pop(); connection !== undefined; connection = free.pop()) {
      connection.listed = false
      if (!isUsable(connection)) continue
      connection.busy++
      list(connection)
      return give(connection)
    }
    const waiter: Waiter = {
      give,
      refuse,
      life,
      fresh,
      leave: (reason) => {
        leave(waiter)
        refuse(reason)
      },
      alarm: undefined,
    }
    onCancel(life, waiter.leave)
    if (life.cancelled !== undefined) return
    waiters.push(waiter)
    // An idle connection that may not be used must not stand in the way of a new one.
    if (fresh && free[0] !== undefined && isFull()) lose(free[0])
    if (!dialMore())
      waiter.alarm = clock.set(waitMs, () => {
        waiter.leave(busyFor(connections, waitMs))
      })
  }

  const isUsable = ({ alive, socket }: Connection): boolean => alive && !socket.destroyed
  const isFull = (): boolean => all.size + dialling.length >= connections

  /** A connection under way for everyone who waits, as far as the limit goes; tells whether it began one. */
  const dialMore = (): boolean => {
    let began = false
    while (!closed && dialling.length < waiters.length && !isFull()) {
      dial()
      began = true
    }
    return began
  }

  const list = (connection: Connection): void => {
    if (connection.listed || connection.busy >= connection.capacity) return
    connection.listed = true
    free.push(connection)
  }

  const drop = (waiter: Waiter): void => {
    const at = waiters.indexOf(waiter)
    if (at >= 0) waiters.splice(at, 1)
    clock.clear(waiter.alarm)
    offCancel(waiter.life, waiter.leave)
  }

  const leave = (waiter: Waiter): void => {
    drop(waiter)
    // What was begun for a call that is gone is broken off, the youngest first: the others are nearer to their end.
    while (dialling.length > waiters.length) dialling.pop()?.()
  }

  const dial = (): void => {
    const giveUp = connector.dial((err, socket) => {
      dialling.splice(dialling.indexOf(giveUp), 1)
      if (socket !== undefined) return offer(open(socket))
      const [waiter] = waiters
      if (waiter === undefined || err === undefined) return
      drop(waiter)
      waiter.refuse(err)
      dialMore()
    })
    dialling.push(giveUp)
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
    const { expectHead, continued } = h2 ? { expectHead: () => {}, continued: () => false } : dropContinues(socket)
    let fault: Error | undefined
    socket.once('error', (err: Error) => {
      fault = err
    })
    const connection: Connection = {
      client,
      socket,
      uses: 0,
      busy: 0,
      capacity: h2 ? streamsPerConnection : 1,
      alive: true,
      listed: false,
      expectHead,
      continued,
      fault: () => fault,
    }
    all.add(connection)
    client.on('disconnect', () => {
      lose(connection)
    })
    socket.once('close', () => {
      lose(connection)
    })
    // Before the first call, which may never come: from here on the Client hears when the upstream closes, and lets it age.
    client[symbols.kConnect](() => {})
    return connection
  }

  const lose = (connection: Connection): void => {
    if (!connection.alive) return
    connection.alive = false
    all.delete(connection)
    const at = free.indexOf(connection)
    if (at >= 0) free.splice(at, 1)
    connection.client.destroy().catch(() => {})
    dialMore()
  }

  /** A connection with room goes to those who wait longest. */
  const offer = (connection: Connection): void => {
    while (connection.busy < connection.capacity) {
      const at = waiters.findIndex(({ fresh }) => !fresh || connection.uses === 0)
      const waiter = waiters[at]
      if (waiter === undefined) break
      drop(waiter)
      connection.busy++
      waiter.give(connection)
    }
    // Those left over want a new connection, and this one stands in the way.
    if (waiters.length > dialling.length && connection.busy === 0 && isFull()) return lose(connection)
    list(connection)
    // One connection of HTTP/2 does for many.
    if (connection.capacity > 1) while (dialling.length > waiters.length) dialling.pop()?.()
  }

  const giveBack = (connection: Connection): void => {
    connection.busy--
    // Undici says that an answer is over before it decides whether its connection lives on: asked in this turn, a dead one would be handed on.
    queueMicrotask(() => {
      if (isUsable(connection) && connection.busy < connection.capacity) offer(connection)
    })
  }

  return {
    take,
    giveBack,
    stats: () => {
      const busy = [...all].filter((connection) => connection.busy > 0).length
      return { open: all.size, busy, waiting: waiters.length }
    },
    close: () => {
      closed = true
      for (const giveUp of dialling.splice(0)) giveUp()
      for (const waiter of [...waiters]) waiter.leave(new SidecarError('draining', 'this pod is shutting down'))
      for (const connection of [...all]) lose(connection)
    },
  }
}

const streamsPerConnection = 100

const busyFor = (connections: number, waitMs: number): SidecarError =>
  new SidecarError('pool_timeout', `all ${connections} connections to the upstream stayed busy for ${waitMs / 1_000} s`)
