import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const calls = 10_000
const atATime = 50

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const event = 'data: {"choices":[{"delta":{"content":"one"}}]}\n\n'

type Step = (res: ServerResponse) => void

const streamOf =
  (...events: string[]): Step =>
  (res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const text of events) res.write(text)
  }

/** What the upstream does is asked for by the path. Calls that are cancelled or time out get no answer. */
const steps: Readonly<Record<string, Step>> = {
  '/v1/ok': (res) => res.end('{}'),
  '/v1/upload': (res) => res.end('{}'),
  '/v1/error': (res) => res.writeHead(500).end('{}'),
  '/v1/stream': (res) => {
    streamOf(event, event, event, 'data: [DONE]\n\n')(res)
    res.end()
  },
  '/v1/cut': (res) => {
    streamOf(event)(res)
    setImmediate(() => res.socket?.resetAndDestroy())
  },
}

/** Unlike the provider of other tests it remembers nothing, since memory is what is measured here. */
async function forgetfulUpstream(t: TestContext, arrived: (path: string) => void): Promise<{ url: string; open: () => number }> {
  const sockets = new Set<Socket>()
  const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    const path = req.url ?? ''
    arrived(path)
    req.resume().once('end', () => steps[path]?.(res))
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  t.after(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, open: () => sockets.size }
}

const paths = ['/v1/ok', '/v1/stream', '/v1/upload', '/v1/error', '/v1/ok', '/v1/cut', '/v1/stream', '/v1/cancel', '/v1/ok', '/elsewhere']

interface Shape {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

const json = (fields: object): Shape => ({
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(JSON.stringify({ model: 'm', messages: [], ...fields })),
})

const plain = json({})
/** This call alone: on a busy machine any other may take long. */
const hurried: Shape = { ...plain, headers: { ...plain.headers, 'x-stainless-timeout': '1' } }
const stream = json({ stream: true })
const upload: Shape = { headers: { 'content-type': 'application/octet-stream' }, body: Buffer.alloc(20_000) }

function shapeOf(path: string): Shape {
  if (path === '/v1/upload') return upload
  if (path === '/v1/timeout') return hurried
  return path === '/v1/stream' || path === '/v1/cut' ? stream : plain
}

/** One call from its first byte to its last; resolves with its status, or 0 when it was given up. */
function call(sidecar: Sidecar, agent: Agent, path: string, arrived: (given: ClientRequest) => void): Promise<number> {
  const { headers, body } = shapeOf(path)
  return new Promise((done, fail) => {
    const req = request({ port: sidecar.port, host: '127.0.0.1', path, method: 'POST', headers, agent }, (res: IncomingMessage) => {
      res.resume().once('close', () => done(res.statusCode ?? 0))
    })
    req.once('error', (err) => {
      if (path === '/v1/cancel') done(0)
      else fail(err)
    })
    req.end(body)
    if (path === '/v1/cancel') arrived(req)
  })
}

const resources = (): string => process.getActiveResourcesInfo().toSorted().join(' ')

async function settled(sidecar: Sidecar): Promise<void> {
  while (sidecar.proxy.residue().inFlight > 0) await new Promise((done) => setImmediate(done))
}

/** What grows with the calls grows by at least a pointer or two for each, and each time; what the runtime takes for itself it takes once. */
const isNoise = (bytes: number): boolean => bytes < calls * 15

test('ten thousand mixed calls leave nothing behind', async (t) => {
  const cancelled: ClientRequest[] = []
  // A call that is to be given up is given up when it has come all the way.
  const upstream = await forgetfulUpstream(t, (path) => {
    if (path === '/v1/cancel') cancelled.shift()?.destroy()
  })
  const agent = new Agent({ keepAlive: true, maxSockets: atATime })
  t.after(() => {
    agent.destroy()
  })
  const before = resources()
  const sidecar = await startSidecar(t, upstream.url, { timeouts: { upstreamIdle: '30s' }, log: { level: 'error' } })
  const statuses = new Map<string, number>()
  const arrived = (req: ClientRequest): void => {
    cancelled.push(req)
  }
  const third = async (): Promise<number> => {
    let left = Math.ceil(calls / 3)
    const worker = async (): Promise<void> => {
      while (left > 0) {
        const n = left--
        // A timeout costs time, so one in two hundred has one.
        const path = n % 200 === 199 ? '/v1/timeout' : (paths[n % paths.length] ?? '')
        const key = `${path} ${await call(sidecar, agent, path, arrived)}`
        statuses.set(key, (statuses.get(key) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: atATime }, worker))
    await settled(sidecar)
    collect()
    await new Promise((done) => setImmediate(done))
    collect()
    return process.memoryUsage().heapUsed
  }
  await third()
  const grown: number[] = []
  for (let before = await third(); grown.length < 4 && !grown.some(isNoise);) {
    const after = await third()
    grown.push(after - before)
    before = after
  }

  const expected = ['/elsewhere 404', '/v1/cancel 0', '/v1/cut 200', '/v1/error 500', '/v1/ok 200', '/v1/stream 200', '/v1/timeout 504']
  assert.deepEqual([...statuses.keys()].toSorted(), [...expected, '/v1/upload 200'])
  assert.ok([...statuses.values()].reduce((sum, count) => sum + count, 0) >= calls)
  assert.ok(grown.some(isNoise), `the heap grew each time, by ${grown.join(', ')} bytes`)
  const { inFlight, alarms, heldBytes } = sidecar.proxy.residue()
  assert.deepEqual({ inFlight, alarms, heldBytes }, { inFlight: 0, alarms: 0, heldBytes: 0 })

  await sidecar.proxy.close()
  agent.destroy()
  while (upstream.open() > 0) await new Promise((done) => setImmediate(done))
  const after = async (tries: number): Promise<string> => {
    if (resources() === before || tries === 0) return resources()
    await new Promise((done) => setImmediate(done))
    return after(tries - 1)
  }
  assert.equal(await after(1_000), before)
  assert.deepEqual(sidecar.proxy.residue(), { inFlight: 0, alarms: 0, connections: 0, heldBytes: 0 })
})
