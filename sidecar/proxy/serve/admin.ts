import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Metrics } from '../../observe/metrics.ts'

export interface AdminOptions {
  readonly host: string
  readonly port: number
  readonly metrics: Metrics
  /** Our own state only: an upstream that is down is no reason to take the pod out of service. */
  readonly ready: () => boolean
  readonly started: () => boolean
}

export interface Admin {
  readonly port: number
  readonly close: () => void
}

/** Probes and metrics, read-only, on the pod's address. */
export async function openAdmin(options: AdminOptions): Promise<Admin> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 5_000 }, (req, res) => {
    const path = (req.url ?? '').split('?')[0]
    const say = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
      res.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' })
      res.end(req.method === 'HEAD' ? undefined : body)
    }
    const probe = (good: boolean, bad: string): void => {
      say(good ? 200 : 503, good ? 'ok\n' : `${bad}\n`)
    }
    if (req.method !== 'GET' && req.method !== 'HEAD') return say(405, 'This port is read-only: GET and HEAD.\n')
    switch (path) {
      case '/livez':
        return probe(true, '')
      case '/readyz':
        return probe(options.ready(), 'shutting down, or not yet listening')
      case '/startupz':
        return probe(options.started(), 'not yet listening')
      case '/metrics':
        options.metrics.text().then(
          (text) => {
            say(200, text, options.metrics.contentType)
          },
          () => {
            say(500, 'The metrics could not be collected.\n')
          },
        )
        return
      default:
        say(404, 'Served here: /livez /readyz /startupz /metrics\n')
    }
  })
  await opened(server, options)
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** A pod without IPv6 cannot listen on `::`; its IPv4 address will do. */
function opened(server: Server, { host, port }: AdminOptions): Promise<void> {
  return new Promise((done, refuse) => {
    const listen = (address: string): void => {
      server.listen({ host: address, port })
    }
    server.on('error', (err: NodeJS.ErrnoException) => {
      if (err.code === 'EAFNOSUPPORT' && host === '::' && !server.listening) listen('0.0.0.0')
      else if (!server.listening) refuse(err)
    })
    server.once('listening', done)
    listen(host)
  })
}
