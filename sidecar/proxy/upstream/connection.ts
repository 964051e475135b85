import type { Socket } from 'node:net'
import symbols from 'undici/lib/core/symbols.js'
import Client from 'undici/lib/dispatcher/client.js'
import { SidecarError } from '../errors.ts'
import { inOneWrite } from '../oneWrite.ts'
import type { Headers } from '../headers.ts'
import { dropContinues } from './continues.ts'
import type { ReadHead } from './headShapes.ts'
import { shortHead } from './shortHead.ts'

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
  /** What the head of the answer said, where undici was told only a part of it; asked once. */
  readonly headTaken: () => Headers | undefined
  /** The upstream has sent something since. */
  readonly heard: () => boolean
  /** The first error of the socket: undici knows the last, and the alert of a TLS peer is followed by a mere end. */
  readonly fault: () => Error | undefined
}

export interface ConnectionOptions {
  readonly origin: string
  readonly idleMs: number
  readonly headerBytes: number
  readonly readHead: (bytes: Buffer) => ReadHead | undefined
  readonly onLost: (connection: Connection) => void
}

const streamsPerConnection = 100

export function openConnection(socket: Socket, { origin, idleMs, headerBytes, readHead, onLost }: ConnectionOptions): Connection {
  const h2 = (socket as { alpnProtocol?: string | false }).alpnProtocol === 'h2'
  let handed = false
  const client = new Client(origin, {
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
    keepAliveTimeout: idleMs,
    maxHeaderSize: headerBytes,
    ...(h2 ? { h2Options: { maxConcurrentStreams: streamsPerConnection } } : {}),
  })
  const interim = h2 ? undefined : dropContinues(socket)
  const short = h2 ? undefined : shortHead(socket, readHead)
  inOneWrite(socket)
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
    expectHead: () => {
      interim?.expectHead()
      short?.expectHead()
    },
    headTaken: () => short?.taken(),
    heard: () => interim?.heard() ?? false,
    fault: () => fault,
  }
  client.on('disconnect', () => {
    onLost(connection)
  })
  socket.once('close', () => {
    onLost(connection)
  })
  // Before the first call, which may never come: from here on the Client hears when the upstream closes, and lets it age.
  client[symbols.kConnect](() => {})
  return connection
}
