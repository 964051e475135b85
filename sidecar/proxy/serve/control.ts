import { hash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ControlRoutes, Said } from './controlRoutes.ts'
import { readToken } from './controlToken.ts'

export interface ControlOptions {
  readonly port: number
  /** The one of the config that is in use when it is asked for. */
  readonly tokenFile: () => string | undefined
  /** Ends the process, where the config in use lets anybody of the pod do that. */
  readonly quit: () => (() => void) | undefined
  /** Everything there is to tell, made when it is asked for. */
  readonly document: (port: number) => Promise<unknown>
  readonly routes: ControlRoutes
  readonly patienceMs?: number
}

export interface Control {
  readonly port: number
  readonly close: () => void
}

/** Every container of the pod shares the loopback, and none needs many. */
const mostConnections = 32

/** The status of this process, on the loopback of the pod only. */
export async function listenForControl(options: ControlOptions): Promise<Control> {
  const { patienceMs = 10_000 } = options
  const servers: Server[] = []
  const close = (): void => {
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
  }
  let { port } = options
  for (const host of ['127.0.0.1', '::1']) {
    const server = createServer({ headersTimeout: patienceMs, requestTimeout: patienceMs, maxHeaderSize: 8 * 1024 })
    server.timeout = patienceMs
    server.maxConnections = mostConnections
    try {
      await opened(server, host, port)
    } catch (err) {
      // A pod without one of the families has the other.
      if (isMissingFamily(err)) continue
      close()
      throw err
    }
    servers.push(server)
    port = (server.address() as AddressInfo).port
    server.on('request', (req, res) => {
      respond(options, req.socket.localPort ?? 0, req, res)
    })
  }
  return { port, close }
}

const opened = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((done, refuse) => {
    // Stays for good: running out of file descriptors must not end the process.
    server.on('error', refuse)
    server.listen({ host, port, ipv6Only: host === '::1' }, done)
  })

function isMissingFamily(err: unknown): boolean {
  const { code } = err as NodeJS.ErrnoException
  return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT'
}

function respond(options: ControlOptions, port: number, req: IncomingMessage, res: ServerResponse): void {
  const say = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
    res.writeHead(status, { ...guarding, 'content-type': type, 'content-length': Buffer.byteLength(body) })
    res.end(req.method === 'HEAD' ? undefined : body)
  }
  const tell = ({ status, headers = {}, json }: Said): void => {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    say(status, `${JSON.stringify(json, null, 2)}\n`, 'application/json')
  }
  const failed = (): void => {
    say(500, 'The status could not be collected.\n')
  }
  const stranger = strangeness(req, port)
  if (stranger !== undefined) {
    res.shouldKeepAlive = false
    return say(403, `${stranger}\n`)
  }
  const path = (req.url ?? '').split('?')[0] ?? ''
  const quit = path === '/control/quit' && req.method === 'POST' ? options.quit() : undefined
  if (quit !== undefined) {
    res.shouldKeepAlive = false
    say(202, 'Stopping, as soon as no call is under way.\n')
    return quit()
  }
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    // What comes with it may stay unread.
    res.shouldKeepAlive = false
    change(options, path, req).then((said) => {
      if ('json' in said) return tell(said)
      if (said.status === 405) res.setHeader('allow', 'GET, HEAD')
      if (said.status === 401) res.setHeader('www-authenticate', 'Bearer')
      say(said.status, said.why)
    }, failed)
    return
  }
  if (path === '/status') {
    options.document(port).then((json) => {
      tell({ status: 200, json })
    }, failed)
    return
  }
  const said = options.routes.read(path)
  if (said === undefined) say(404, 'Served here: /status and /control/routes\n')
  else tell(said)
}

/** No page of another origin may have it, show it in a frame, or take it for a script. */
const guarding = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

/**
 * A browser in reach of the loopback runs pages of anybody. One whose name has been pointed at this address shows itself by its Host, one
 * that calls from elsewhere by its Origin, and one that embeds what it asks for by what browsers add themselves.
 */
function strangeness(req: IncomingMessage, port: number): string | undefined {
  const hosts = [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]
  const named = req.headersDistinct['host'] ?? []
  if (named.length !== 1 || !hosts.includes((named[0] ?? '').toLowerCase())) {
    return `The Host is none of ${hosts.join(', ')}: ask for one of these, by this port.`
  }
  const origins = req.headersDistinct['origin'] ?? []
  if (origins.some((origin) => !hosts.some((host) => origin === `http://${host}`))) return 'Pages of another origin may not ask here.'
  const sites = req.headersDistinct['sec-fetch-site'] ?? []
  if (sites.some((site) => site !== 'same-origin' && site !== 'none')) return 'Pages of another site may not ask here.'
  return undefined
}

interface Refusal {
  readonly status: number
  readonly why: string
}

/** Who may not change anything is not told what could be changed. */
async function change({ tokenFile, routes }: ControlOptions, path: string, req: IncomingMessage): Promise<Said | Refusal> {
  const refusal = await changeRefusal(req, tokenFile())
  if (refusal !== undefined) return refusal
  const said = await routes.change(path, req)
  if (said !== undefined) return said
  const why = path === '/control/quit' ? 'control.quit is off in the config' : 'there is nothing here that could be changed this way'
  return { status: 405, why: `The token is right, and ${why}: GET and HEAD.\n` }
}

async function changeRefusal(req: IncomingMessage, tokenFile: string | undefined): Promise<Refusal | undefined> {
  if (tokenFile === undefined) return { status: 405, why: 'This port is read-only: GET and HEAD. No control.tokenFile is configured.\n' }
  const found = await readToken(tokenFile)
  // Neither the folder nor what it holds is for every program of the pod.
  if ('refusal' in found) {
    return { status: 401, why: `Nothing can be changed: the file of control.tokenFile ${found.refusal.split(';', 1)[0]}.\n` }
  }
  const shown = /^bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1] ?? ''
  if (timingSafeEqual(digest(found.token), digest(shown))) return undefined
  return { status: 401, why: 'A change needs the token of control.tokenFile, as "authorization: Bearer TOKEN".\n' }
}

const digest = (text: string): Buffer => Buffer.from(hash('sha256', text), 'hex')
