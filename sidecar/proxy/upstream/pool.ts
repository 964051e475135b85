import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import type { Life } from '../life.ts'
import { openConnection, type Connection } from './connection.ts'
import type { Connector } from './connector.ts'
import { headShapes } from './headShapes.ts'
import { queue } from './queue.ts'

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

/**
 * Connections to one upstream, and the queue for them. Ours, because undici's pool queues without bound, cannot give up a call that waits
 * or connects, and looks at every connection for each call.
 */
export function pool(options: PoolOptions): Pool {
  const { clock, connector, connections, waitMs } = options
  const all = new Set<Connection>()
  /** The last used first: it is the least likely to have gone stale, and the others may age out. */
  const free: Connection[] = []
  const dialling: (() => void)[] = []
  const readHead = headShapes()
  let closed = false
  const waiting = queue({
    clock,
    waitMs,
    tooLong: () => tooLong(waitMs, connections),
    onLeave: () => {
      giveUpSurplus()
    },
  })

  const take: Pool['take'] = (life, fresh, give, refuse) => {
    for (let connection = fresh ? undefined : free.pop(); connection !== undefined; connection = free.pop()) {
      connection.listed = false
      if (!isUsable(connection)) continue
      connection.busy++
      list(connection)
      return give(connection)
    }
    waiting.join({ life, fresh, give, refuse })
    dialMore()
    // An idle connection that may not be used must not stand in the way of a new one.
    const idle = fresh && isFull() ? free.find(({ busy }) => busy === 0) : undefined
    if (idle !== undefined) lose(idle)
    // For whom a connection is under way, that has a bound of its own.
    if (waiting.length() > dialling.length) waiting.bound(dialling.length)
  }

  const isUsable = ({ alive, socket }: Connection): boolean => alive && !socket.destroyed
  const isFull = (): boolean => all.size + dialling.length >= connections

  /** A connection under way for everyone who waits, as far as the limit goes. */
  const dialMore = (): void => {
    while (!closed && dialling.length < waiting.length() && !isFull()) dial()
  }

  /** What was begun for calls that are gone is broken off, the youngest first: the others are nearer to their end. */
  const giveUpSurplus = (): void => {
    while (dialling.length > waiting.length()) dialling.pop()?.()
  }

  const list = (connection: Connection): void => {
    if (connection.listed || connection.busy >= connection.capacity) return
    connection.listed = true
    free.push(connection)
  }

  const dial = (): void => {
    const giveUp = connector.dial((err, socket) => {
      dialling.splice(dialling.indexOf(giveUp), 1)
      if (socket !== undefined) return offer(opened(socket))
      if (err !== undefined) waiting.next(false)?.refuse(err)
      dialMore()
    })
    dialling.push(giveUp)
  }

  const opened = (socket: Socket): Connection => {
    const connection = openConnection(socket, { ...options, readHead, onLost: lose })
    all.add(connection)
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
      const waiter = waiting.next(connection.uses > 0)
      if (waiter === undefined) break
      connection.busy++
      waiter.give(connection)
    }
    // Those left over want a new connection, and this one stands in the way.
    if (waiting.length() > dialling.length && connection.busy === 0 && isFull()) return lose(connection)
    list(connection)
    // One connection of HTTP/2 does for many.
    if (connection.capacity > 1) giveUpSurplus()
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
      return { open: all.size, busy, waiting: waiting.length() }
    },
    close: () => {
      closed = true
      for (const giveUp of dialling.splice(0)) giveUp()
      waiting.close(new SidecarError('draining', 'this sidecar is closing its connections'))
      for (const connection of all) lose(connection)
    },
  }
}

const tooLong = (waitMs: number, connections: number): SidecarError =>
  new SidecarError(
    'pool_timeout',
    `all connections to the upstream stayed busy for ${waitMs / 1_000} s (timeouts.pool, upstreams[].connections: ${connections})`,
  )
