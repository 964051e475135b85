import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { pace } from './pace.ts'
import { answers, refusal, streamHead, upstreamKey } from './wire.ts'

/** A fake model that costs next to nothing: fixed bytes from plain sockets, one server without TLS and one with. */
const [certificate = '', key = ''] = process.argv.slice(2)
const plain = createServer({ noDelay: true }, converse)
const secure = createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key), ALPNProtocols: ['http/1.1'] }, (socket) => {
  socket.setNoDelay(true)
  converse(socket)
})

process.on('disconnect', () => process.exit())
const [plainPort, securePort] = await Promise.all([listen(plain), listen(secure)])
process.send?.({ plainPort, securePort })

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 2_048 }, () => {
      const address = server.address()
      resolve(address !== null && typeof address === 'object' ? address.port : 0)
    })
  })
}

let answered = 0

function converse(socket: Socket): void {
  let pending: Buffer | null = null
  socket.on('error', () => socket.destroy())
  socket.on('data', (piece: Buffer) => {
    const bytes: Buffer = pending ? Buffer.concat([pending, piece]) : piece
    const end = requestEnd(bytes)
    pending = end < 0 ? bytes : null
    if (end >= 0) reply(socket, bytes)
  })
}

/** Where the first request ends, -1 while it is not whole. Proxies do not pipeline, so nothing follows it. */
function requestEnd(bytes: Buffer): number {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return -1
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, headEnd))?.[1]
  if (length !== undefined) return bytes.length >= headEnd + 4 + Number(length) ? headEnd + 4 + Number(length) : -1
  const last = bytes.lastIndexOf('\r\n0\r\n\r\n')
  return last >= headEnd ? last + 7 : -1
}

function reply(socket: Socket, request: Buffer): void {
  // A proxy that leaves out the work of setting the key must not look fast.
  if (!request.includes(`Bearer ${upstreamKey}`)) {
    socket.write(refusal)
    return
  }
  if (!request.includes('"stream":true')) {
    socket.write(answers[(answered = (answered + 1) % answers.length)] ?? refusal)
    return
  }
  socket.write(streamHead)
  const body = request.toString('latin1')
  pace(socket, numberOf(body, 'events'), Math.max(1, numberOf(body, 'everyMs')))
}

function numberOf(body: string, name: string): number {
  return Number(new RegExp(`"${name}":"(\\d+)"`).exec(body)?.[1] ?? 0)
}
