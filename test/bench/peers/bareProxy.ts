import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
// Not through undici's front door, behind which lies its fetch: 5 MiB that a proxy does not need.
import Pool from 'undici/lib/dispatcher/pool.js'

/**
 * The least that node:http and undici's dispatch need to be a proxy that sets a key and writes a log line: what Outrider's features
 * cost is the distance to this.
 */
const [port = '', origin = '', key = '', caFile = ''] = process.argv.slice(2)
const pool = new Pool(origin, {
  connections: 4_096,
  pipelining: 1,
  allowH2: false,
  ...(origin.startsWith('https:') && { connect: { ca: readFileSync(caFile) } }),
})
const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'host', 'authorization', 'content-length'])
let lines = ''

createServer({ noDelay: true }, (request, response) => {
  const pieces: Buffer[] = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  request.on('end', () => pass(request, response, Buffer.concat(pieces)))
}).listen({ port: Number(port), host: '127.0.0.1', backlog: 2_048 })
setInterval(writeLog, 1_000)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit())

function pass(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const from = performance.now()
  let running: Dispatcher.DispatchController | null = null
  const options = {
    method: 'POST' as const,
    path: request.url ?? '/',
    headers: headersOf(request),
    body,
  } satisfies Dispatcher.DispatchOptions
  response.on('drain', () => running?.resume())
  response.on('close', () => {
    if (!response.writableFinished) running?.abort(new Error('the client has gone'))
  })
  pool.dispatch(options, {
    onRequestStart: (controller) => {
      running = controller
    },
    onResponseStart: (_controller, status, headers) => {
      response.writeHead(status, flat(headers))
    },
    onResponseData: (controller, piece) => {
      if (!response.write(piece)) controller.pause()
    },
    onResponseEnd: () => {
      response.end()
      log(request, response.statusCode, performance.now() - from)
    },
    onResponseError: () => {
      if (response.headersSent) response.destroy()
      else response.writeHead(502).end()
    },
  })
}

function headersOf(request: IncomingMessage): string[] {
  const kept = ['authorization', `Bearer ${key}`]
  const raw = request.rawHeaders
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]
    const value = raw[at + 1]
    if (name !== undefined && value !== undefined && !hopByHop.has(name.toLowerCase())) kept.push(name, value)
  }
  return kept
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): string[] {
  const list: string[] = []
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name === 'connection' || name === 'keep-alive' || name === 'transfer-encoding') continue
    for (const one of typeof value === 'string' ? [value] : value) list.push(name, one)
  }
  return list
}

function log(request: IncomingMessage, status: number, ms: number): void {
  lines += `{"time":${Date.now()},"method":"${request.method}","path":"${request.url}","status":${status},"ms":${ms.toFixed(1)}}\n`
  if (lines.length > 16_384) writeLog()
}

function writeLog(): void {
  if (lines) process.stdout.write(lines)
  lines = ''
}
