import { chat, provider, stall, stallAfter } from '../../fixtures/provider.ts'
import type { Owner } from '../../fixtures/providerExchange.ts'
import { rawClient } from '../../fixtures/rawClient.ts'
import { runOutrider, tempFile } from '../../fixtures/runOutrider.ts'
import { startByHand, type Sidecar } from '../../fixtures/startSidecar.ts'
import { bytesOf, chatCall, curlOf, messagesCall, send, shownReplies, streamCall } from '../asking.ts'
import { callScene, sinceStart } from '../callScene.ts'
import type { Chapter, Scene } from '../scene.ts'

/** A module that is loaded before the program puts a defect into Node itself: none of Outrider's own is known. */
const defect = `const includes = Buffer.prototype.includes
Buffer.prototype.includes = function (what, ...rest) {
  if (what === '"stream' && this.indexOf('explode') > 0) throw new TypeError("Cannot read properties of undefined (reading 'model')")
  return includes.call(this, what, ...rest)
}`

const exploding = { ...chatCall, body: '{"model":"explode","messages":[]}' }

const internal: Scene = {
  title: 'a defect of Outrider',
  kind: 'internal',
  says: ['internal', /call \S+/],
  play: async (t) => {
    const upstream = await provider(t, [])
    const outrider = await runOutrider(t, upstream.url, {}, { node: ['--import', tempFile(t, 'defect.mjs', defect)] })
    const came = await send(t, outrider.port, exploding)
    await outrider.callLine(0)
    const lines = outrider.stdout().trimEnd().split('\n')
    const log = lines.slice(lines.findIndex((line) => line.includes('listening on')) + 1)
    return { did: `# a defect is planted: Outrider has none that is known\n${curlOf(exploding)}`, came, log }
  },
}

/** One call holds what there is while another comes. */
async function beside(t: Owner, { port }: Sidecar, asking = chatCall): Promise<string> {
  const first = await rawClient(t, port)
  first.send(bytesOf(chatCall))
  // The second is behind the first when other calls are answered.
  for (let n = 0; n < 3; n++) await send(t, port, { path: '/elsewhere' })
  const came = await send(t, port, asking)
  first.socket.destroy()
  return came
}

const withoutDescriptors: Scene = {
  title: 'no file descriptors are left',
  kind: 'proxy_overloaded',
  says: ['file descriptors'],
  play: async (t) => {
    const upstream = await provider(t, chat('hi'))
    const outrider = await runOutrider(t, upstream.url, {}, { before: 'ulimit -n 48' })
    const clients = await Promise.all(Array.from({ length: 60 }, () => rawClient(t, outrider.port)))
    await Promise.any(clients.map(({ closed }) => closed))
    const open = clients.filter(({ socket }) => !socket.destroyed)
    for (const one of open) one.send(bytesOf(chatCall))
    const came = await Promise.any(
      open.map(async (one) => {
        await one.until('file descriptors')
        return one.closed
      }),
    )
    const [, id = ''] = /x-outrider-call: (\S+)/.exec(came) ?? []
    const line = await outrider.until(
      (all) => all.split('\n').find((one) => one.includes('"msg":"call"') && one.includes(`"${id}"`)),
      'a call without descriptors',
    )
    for (const { socket } of clients) socket.destroy()
    return { did: `# ulimit -n 48, and 60 clients\n${curlOf(chatCall)}`, came: shownReplies(came), log: [line] }
  },
}

/** A stream that is open when the grace ends. */
async function drained(t: Owner, sidecar: Sidecar): Promise<string> {
  const streaming = await rawClient(t, sidecar.port)
  streaming.send(bytesOf(streamCall))
  await streaming.until('"content"')
  const stopping = sidecar.proxy.drain()
  const text = await streaming.closed
  await stopping
  return shownReplies(text)
}

const atTheEnd: Scene = {
  title: 'a call at the very end of the grace',
  kind: 'draining',
  says: ['shutting down', 'drain.grace', 'another pod'],
  play: async (t) => {
    const upstream = await provider(t, stall())
    const sidecar = await startByHand(t, upstream.url, { drain: { grace: '10s' } })
    const first = await rawClient(t, sidecar.port)
    first.send(bytesOf(chatCall))
    await upstream.request(0)
    void sidecar.proxy.drain()
    sidecar.clock.pass(8_500)
    const came = await send(t, sidecar.port, chatCall)
    return { did: `# kill -TERM; 8.5 s of the 10 of drain.grace are over\n${curlOf(chatCall)}`, came, log: sinceStart(sidecar.log()) }
  },
}

export const own: Chapter = {
  title: 'Calls that fail for the sidecar itself',
  scenes: [
    internal,
    callScene('as many calls as limits.inFlight allows', {
      kind: 'proxy_overloaded',
      says: ['limits.inFlight allows (1)', 'retry-after: 1'],
      document: { limits: { inFlight: 1 } },
      upstream: stall(),
      act: beside,
      where: 'while another call is under way',
      calls: 5,
    }),
    callScene('the same at /v1/messages, in the shape of Anthropic', {
      kind: 'proxy_overloaded',
      says: ['overloaded_error'],
      document: { limits: { inFlight: 1 } },
      upstream: stall(),
      act: (t, sidecar) => beside(t, sidecar, messagesCall),
      asking: messagesCall,
      where: 'while another call is under way',
      calls: 5,
    }),
    callScene('as many bytes as limits.memory allows', {
      kind: 'proxy_overloaded',
      says: ['limits.memory', '100 bytes', 'retry-after: 1'],
      document: { limits: { memory: '100B' } },
      upstream: stall(),
      act: beside,
      where: 'while another call is under way',
      calls: 5,
    }),
    withoutDescriptors,
    callScene('all connections to the upstream are busy', {
      kind: 'pool_timeout',
      says: ['0.15 s', 'connections: 1', 'timeouts.pool'],
      document: { timeouts: { pool: '150ms' } },
      own: { connections: 1 },
      upstream: stall(),
      act: beside,
      where: 'while another call is under way',
      calls: 5,
    }),
    callScene('a stream that outlives the grace of a shutdown', {
      kind: 'draining',
      says: ['shutting down', 'drain.grace', '0.6 s'],
      document: { drain: { grace: '600ms' } },
      upstream: stallAfter({ choices: [{ index: 0, delta: { content: 'The' } }] }),
      asking: streamCall,
      act: drained,
      where: 'kill -TERM, while the stream flows',
    }),
    atTheEnd,
    ...(
      [
        ['the variable of the key is not set', { env: 'HOLYSHEEP_API_KEY' }, ['HOLYSHEEP_API_KEY', 'not set']],
        ['the file of the key does not exist', { file: '/run/secrets/nowhere/key' }, ['/run/secrets/nowhere/key', 'does not exist']],
        ['a placeholder stands for the key', { value: 'your-api-key' }, ['placeholder']],
        ['the key has two lines', { value: 'one\ntwo' }, ['more than one line']],
        ['the key is empty', { value: ' ' }, ['empty']],
        ['the key has a character that no header takes', { value: 'sk-schlüssel' }, ['character']],
      ] as const
    ).map(([title, key, says]) =>
      callScene(title, {
        kind: 'no_credential',
        says: ['credential', ...says],
        document: { credentials: { key: { value: undefined, ...key } } },
      }),
    ),
  ],
}
