import { createHash } from 'node:crypto'
import { answers, blackhole, deadUpstream, provider, rawUpstream } from '../../fixtures/provider.ts'
import type { Owner } from '../../fixtures/providerExchange.ts'
import { rawClient } from '../../fixtures/rawClient.ts'
import type { Sidecar } from '../../fixtures/startSidecar.ts'
import { ask as upgrade, switching } from '../../fixtures/websocket.ts'
import { shownReplies } from '../asking.ts'
import { callScene, type Place } from '../callScene.ts'
import type { Chapter } from '../scene.ts'

const websocat = 'websocat ws://localhost:8080/v1/realtime'

/** An upgrade, and what comes of it until the end: an answer, or a close frame in words. */
const opening =
  (path = '/v1/realtime', extra = '') =>
  async (t: Owner, { port }: Sidecar): Promise<string> => {
    const client = await rawClient(t, port)
    client.socket.on('end', () => client.socket.end())
    client.send(upgrade(path, extra))
    return inWords(await client.closed)
  }

function inWords(text: string): string {
  const end = text.indexOf('\r\n\r\n')
  if (!text.startsWith('HTTP/1.1 101')) return shownReplies(text)
  const frame = Buffer.from(text.slice(end + 4), 'latin1')
  const head = `${shownReplies(text.slice(0, end + 4))}\n`
  if (frame[0] !== 0x88) return `${head}(the connection was closed without a close frame)`
  return `${head}(close frame: ${frame.readUInt16BE(2)} ${frame.toString('utf8', 4)})`
}

/** An upstream that opens the WebSocket and then does as told. */
const opened =
  (then: (socket: import('node:net').Socket) => void) =>
  async (t: Owner): Promise<Place> => {
    const { url } = await rawUpstream(t, async (socket, bytes) => {
      await bytes.until('\r\n\r\n')
      socket.write(switching())
      then(socket)
    })
    return { url }
  }

const silent = (): void => {}

export const sockets: Chapter = {
  title: 'WebSockets',
  scenes: [
    callScene('an upgrade outside of /v1', {
      kind: 'not_found',
      says: ['/v1'],
      upstream: [],
      act: opening('/realtime'),
      typed: 'websocat ws://localhost:8080/realtime',
    }),
    callScene('an upgrade without a key, where clients are configured', {
      kind: 'unauthorized',
      says: ['shows no key'],
      upstream: [],
      document: { clients: [{ name: 'app', sha256: createHash('sha256').update('a').digest('hex') }] },
      act: opening(),
      typed: websocat,
    }),
    callScene('an upgrade that has a body', {
      kind: 'bad_request',
      says: ['the upgrade has a body'],
      upstream: [],
      act: opening('/v1/realtime', 'content-length: 2\r\n'),
      typed: `${websocat} -H 'content-length: 2'`,
    }),
    callScene('an upgrade behind a call that is not answered yet', {
      kind: 'bad_request',
      says: ['an upgrade was sent before the call in front of it was answered'],
      upstream: answers(200, { id: 'the answer to the first' }),
      calls: 1,
      act: async (t, { port }) => {
        const client = await rawClient(t, port)
        client.send(`GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n${upgrade()}`)
        return shownReplies(await client.closed)
      },
      typed:
        '# both in one write\n(printf "GET /v1/models HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"; printf "GET /v1/realtime HTTP/1.1\\r\\nUpgrade: websocket…") | nc localhost 8080',
    }),
    callScene('frames before the upgrade was answered', {
      kind: 'bad_request',
      says: ['more than 65536 bytes of frames before the upgrade was answered'],
      at: async (t) => ({ url: (await rawUpstream(t, silent)).url }),
      act: async (t, { port }) => {
        const client = await rawClient(t, port)
        client.send(upgrade())
        client.send('x'.repeat(100_000))
        return inWords(await client.closed)
      },
      typed: `${websocat} < 100-KB.bin`,
    }),
    callScene('an upstream where nobody listens', {
      kind: 'connect_failed',
      says: ['ECONNREFUSED'],
      at: async () => ({ url: await deadUpstream() }),
      act: opening(),
      typed: websocat,
    }),
    callScene('an upstream that does not answer the upgrade', {
      kind: 'first_event_timeout',
      says: ['0.15 s', 'timeouts.connect'],
      at: async (t) => ({ url: (await blackhole(t)).url, document: { timeouts: { connect: '150ms' } } }),
      act: opening(),
      typed: websocat,
    }),
    callScene('an upstream that closes without an answer to the upgrade', {
      kind: 'no_reply',
      says: ['without an answer to the upgrade'],
      at: async (t) => ({ url: (await rawUpstream(t, (socket) => void socket.once('data', () => socket.end()))).url }),
      act: opening(),
      typed: websocat,
    }),
    callScene('an upstream that answers the upgrade with something that is not HTTP', {
      kind: 'bad_reply',
      says: ['not HTTP'],
      at: async (t) => ({ url: (await rawUpstream(t, (socket) => void socket.once('data', () => socket.end('what?\r\n\r\n')))).url }),
      act: opening(),
      typed: websocat,
    }),
    callScene('an upstream that refuses the upgrade: its answer passes as it is', {
      says: ['403', 'no realtime for you'],
      at: async (t) => ({ url: (await provider(t, answers(403, { error: { message: 'no realtime for you' } }))).url }),
      act: opening(),
      typed: websocat,
    }),
    callScene('an answer to the upgrade that breaks off', {
      kind: 'reply_cut',
      onlyInLog: true,
      says: ['reply_cut', 'broke off'],
      at: async (t) => ({
        url: (
          await rawUpstream(t, (socket) => {
            socket.once('data', () =>
              socket.write('HTTP/1.1 429 x\r\ncontent-length: 100\r\n\r\nonly this', () => socket.resetAndDestroy()),
            )
          })
        ).url,
      }),
      act: opening(),
      typed: websocat,
    }),
    callScene('nothing is said in either direction', {
      kind: 'idle_timeout',
      onlyInLog: true,
      says: ['1011', '0.15 s'],
      document: { timeouts: { webSocketIdle: '150ms' } },
      at: opened(silent),
      act: opening(),
      typed: websocat,
    }),
    callScene('the WebSocket is open for longer than timeouts.streamTotal', {
      kind: 'total_timeout',
      onlyInLog: true,
      says: ['1001', '0.15 s', 'the stream was not over within'],
      document: { timeouts: { streamTotal: '150ms' } },
      at: opened(silent),
      act: opening(),
      typed: websocat,
    }),
    callScene('the upstream leaves without a close frame', {
      kind: 'reply_cut',
      onlyInLog: true,
      says: ['1011', 'without a close frame'],
      at: opened((socket) => socket.end()),
      act: opening(),
      typed: websocat,
    }),
    callScene('the upstream breaks the connection', {
      kind: 'reply_cut',
      onlyInLog: true,
      says: ['1011', 'ECONNRESET', 'without a close frame'],
      at: opened((socket) => setTimeout(() => socket.resetAndDestroy(), 50)),
      act: opening(),
      typed: websocat,
    }),
    callScene('the client leaves without a close frame', {
      kind: 'client_gone',
      onlyInLog: true,
      says: ['client_gone'],
      at: opened(silent),
      act: async (t, { port }) => {
        const client = await rawClient(t, port)
        client.send(upgrade())
        await client.until('\r\n\r\n')
        client.socket.resetAndDestroy()
        return inWords(await client.closed)
      },
      typed: `${websocat}   # and Ctrl+C`,
    }),
    callScene('the client leaves before the upgrade is answered', {
      kind: 'client_gone',
      onlyInLog: true,
      says: ['client_gone'],
      at: async (t) => ({ url: (await rawUpstream(t, silent)).url }),
      act: async (t, { port }) => {
        const client = await rawClient(t, port)
        client.send(upgrade())
        client.socket.end()
        return inWords(await client.closed)
      },
      typed: `${websocat}   # and Ctrl+C`,
    }),
    callScene('a WebSocket at the end of the grace', {
      kind: 'draining',
      onlyInLog: true,
      says: ['1001', 'shutting down', 'ending what is in flight (1)'],
      document: { drain: { grace: '300ms' } },
      at: opened(silent),
      act: async (t, { port, proxy }) => {
        const client = await rawClient(t, port)
        client.socket.on('end', () => client.socket.end())
        client.send(upgrade())
        await client.until('\r\n\r\n')
        await proxy.drain()
        return inWords(await client.closed)
      },
      where: 'kill -TERM, while it is open',
      typed: websocat,
    }),
  ],
}
