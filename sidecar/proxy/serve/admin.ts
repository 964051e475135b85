import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Metrics } from '../../observe/metrics.ts'

export interface AdminOptions {
  readonly host: string
  readonly port: number
  readonly metrics: Pick<Metrics, 'tell'>
  /** Our own state only: an upstream that is down is no reason to take the pod out of service. */
  readonly ready: () => boolean
  readonly started: () => boolean
  /** What there is to say of a service that is not ready. */
  readonly whyNot?: () => string
  /** A client that is silent for this long, or takes this long for a request, is cut off. */
  readonly patienceMs?: number
}

export interface Admin {
  readonly port: number
  readonly close: () => void
}

/** Kubelet and a handful of scrapers need few; strangers in the cluster must not use up the file descriptors of the calls. */
const mostConnections = 256

/** Probes and metrics, read-only, on the pod's address. */
export async function openAdmin(options: AdminOptions): Promise<Admin> {
  const { patienceMs = 10_000 } = options
  const bounds = { headersTimeout: patienceMs, requestTimeout: patienceMs, connectionsCheckingInterval: patienceMs / 4 }
  const server = createServer({ ...bounds, maxHeaderSize: 8 * 1024 }, (req, res) => {
    respond(options, req, res)
  })
  // Also bounds those who ask and then do not read.
  server.timeout = patienceMs
  server.maxConnections = mostConnections
  await opened(server, options)
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

function respond(
  { metrics, ready, started, whyNot = () => 'not yet listening' }: AdminOptions,
  req: IncomingMessage,
  res: ServerResponse,
): void {
  const say = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
    res.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' })
    res.end(req.method === 'HEAD' ? undefined : body)
  }
  const probe = (good: boolean, bad: string): void => {
    say(good ? 200 : 503, good ? 'ok\n' : `${bad}\n`)
  }
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    res.setHeader('allow', 'GET, HEAD')
    // What comes with it is not read.
    res.shouldKeepAlive = false
    return say(405, 'This port is read-only: GET and HEAD.\n')
  }
  switch ((req.url ?? '').split('?')[0]) {
    case '/livez':
      return probe(true, '')
    case '/readyz':
      return probe(ready(), whyNot())
    case '/startupz':
      return probe(started(), 'not yet listening')
    case '/metrics':
      metrics.tell(req.headers.accept).then(
        ({ text, type }) => {
          say(200, text, type)
        },
        () => {
          say(500, 'The metrics could not be collected.\n')
        },
      )
      return
    default:
      say(404, 'Served here: /livez /readyz /startupz /metrics\n')
  }
}

/** A pod without IPv6 cannot listen on `::`; its IPv4 address will do. */
function opened(server: Server, { host, port }: AdminOptions): Promise<void> {
  return new Promise((done, refuse) => {
    let fallBack = host === '::'
    // Stays for good: running out of file descriptors must not end the process.
    server.on('error', (err: NodeJS.ErrnoException) => {
      if (fallBack && (err.code === 'EAFNOSUPPORT' || err.code === 'EADDRNOTAVAIL')) {
        fallBack = false
        server.listen({ host: '0.0.0.0', port })
      } else refuse(err)
    })
    server.once('listening', done)
    server.listen({ host, port })
  })
}
