import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type Registry from 'prom-client/lib/registry.js'
import { bodyOf, TooLarge } from './body.ts'
import { decide, happeningOf, type Decision } from './decide.ts'
import { NotYet } from './plan.ts'
import { answerOf, parseReview, ReviewRefused, type Review } from './review.ts'
import type { Happening, InjectorSettings } from './settings.ts'
import { openTally, type Failure, type Tally } from './tally.ts'

/** A certificate chain and its private key, PEM. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
}

export interface InjectionOptions {
  readonly settings: InjectorSettings
  readonly certificate: CertificatePair
  /** `::` unless given, or 0.0.0.0 where there is no IPv6. */
  readonly host?: string
  /** 0 takes any free one. */
  readonly port: number
  readonly registry: Registry
  /** Never called for a dry run, nor for a pod without an owner. */
  readonly note: (happening: Happening) => void
  readonly log: InjectionLog
  /** A client that is silent for this long, or takes this long for a request, is cut off. */
  readonly patienceMs?: number
}

type Write = (fields: object, message: string) => void

export interface InjectionLog {
  readonly info: Write
  readonly warn: Write
  readonly error: Write
}

export interface Injection {
  readonly port: number
  /** For connections from now on. */
  readonly replaceCertificate: (pair: CertificatePair) => void
  /**
   * From now on each answer is the last on its connection, so that API servers come to other replicas by themselves: one that sends on a connection
   * which is closed at that moment takes it for a failure, and does not ask again.
   */
  readonly leave: () => void
  /** Stops listening; resolves when what was in flight has been answered, or after five seconds. */
  readonly close: () => Promise<void>
}

/** The API server takes no object above 3 MiB. */
const longestReview = 4 * 1024 * 1024
/** Each may hold that much; more than this many at a time come from nobody who means well. */
const mostInFlight = 32
const mostConnections = 256
const closingMs = 5_000

/** Answers the API server's question about each pod: POST /inject. */
export async function openInjection(options: InjectionOptions): Promise<Injection> {
  const { certificate, patienceMs = 10_000 } = options
  const tally = openTally(options.registry)
  let inFlight = 0
  let leaving = false
  const server = createServer(
    {
      ...certificate,
      minVersion: 'TLSv1.2',
      maxHeaderSize: 16 * 1024,
      handshakeTimeout: patienceMs,
      headersTimeout: patienceMs,
      requestTimeout: patienceMs,
      connectionsCheckingInterval: patienceMs / 4,
      // Longer than the API server keeps its idle connections, so that it is never the one to meet a closing one.
      keepAliveTimeout: 120_000,
    },
    (req, res) => {
      if (leaving) res.shouldKeepAlive = false
      const refused = misdirected(req)
      if (refused !== undefined) return refuse(res, ...refused)
      if (inFlight >= mostInFlight) {
        tally.failed('busy')
        return refuse(res, 503, `more than ${mostInFlight} reviews at a time`)
      }
      inFlight++
      void answer(req, res, options, tally).finally(() => inFlight--)
    },
  )
  server.maxConnections = mostConnections
  await opened(server, options)
  return {
    port: (server.address() as AddressInfo).port,
    replaceCertificate: (pair) => {
      server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' })
    },
    leave: () => {
      leaving = true
    },
    close: () => closed(server),
  }
}

function misdirected(req: IncomingMessage): readonly [status: number, why: string] | undefined {
  if ((req.url ?? '').split('?')[0] !== '/inject') return [404, 'served here: POST /inject']
  if (req.method !== 'POST') return [405, 'this takes POST']
  return /^application\/json\b/i.test(req.headers['content-type'] ?? '') ? undefined : [415, 'content-type must be application/json']
}

/** A whole answer or none: what goes wrong here is told by a status, and never by half a patch. */
async function answer(req: IncomingMessage, res: ServerResponse, options: InjectionOptions, tally: Tally): Promise<void> {
  const { settings, note, log } = options
  const fail = (failure: Failure, status: number, why: string): void => {
    tally.failed(failure)
    refuse(res, status, why)
  }
  try {
    const body = await bodyOf(req, longestReview)
    const began = performance.now()
    const review = parseReview(body)
    const decision = decide(review, settings)
    const text = answerOf(review.uid, verdictOf(decision))
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    res.end(text)
    tally.decided(decision, performance.now() - began)
    write(log, decision, review)
    const happening = happeningOf(decision, review)
    if (happening !== undefined) note(happening)
  } catch (err) {
    if (err instanceof ReviewRefused) return fail('malformed', 400, err.message)
    if (err instanceof TooLarge) return fail('too_large', 413, `a review has at most ${longestReview} bytes`)
    if (err instanceof NotYet) return fail('not_yet', 503, err.message)
    // The client left in the middle of its question.
    if (!req.complete) return
    log.error({ err }, 'a review could not be answered because of a defect')
    fail('defect', 500, 'a defect of Outrider; its log says more')
  }
}

function verdictOf(decision: Decision) {
  switch (decision.result) {
    case 'injected':
      return { allowed: true, patch: decision.patch, warnings: decision.warnings }
    case 'skipped':
      return { allowed: true, warnings: decision.message === undefined ? [] : [`this pod gets no sidecar: ${decision.message}`] }
    case 'denied':
      return { allowed: false, message: decision.message }
  }
}

function write(log: InjectionLog, decision: Decision, { pod, namespace, dryRun }: Review): void {
  const { name, generateName } = (pod['metadata'] ?? {}) as { name?: unknown; generateName?: unknown }
  const fields = { namespace, pod: name ?? generateName, result: decision.result, reason: decision.reason, ...(dryRun && { dryRun }) }
  if (decision.result === 'denied') log.warn(fields, decision.message)
  else if (decision.result === 'skipped') log.info(fields, decision.message ?? 'left as it is')
  else log.info({ ...fields, ...(decision.warnings.length > 0 && { warnings: decision.warnings }) }, 'injected')
}

function refuse(res: ServerResponse, status: number, why: string): void {
  if (res.headersSent) return void res.destroy()
  const text = `${why}\n`
  res.shouldKeepAlive = false
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(text) })
  res.end(text)
}

/** A pod without IPv6 cannot listen on `::`; its IPv4 address will do. */
function opened(server: Server, { host = '::', port }: InjectionOptions): Promise<void> {
  return new Promise((done, refused) => {
    let fallBack = host === '::'
    // Stays for good: running out of file descriptors must not end the process.
    server.on('error', (err: NodeJS.ErrnoException) => {
      if (fallBack && (err.code === 'EAFNOSUPPORT' || err.code === 'EADDRNOTAVAIL')) {
        fallBack = false
        server.listen({ host: '0.0.0.0', port })
      } else refused(err)
    })
    server.once('listening', done)
    server.listen({ host, port })
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => {
    const late = setTimeout(() => {
      server.closeAllConnections()
    }, closingMs)
    server.close(() => {
      clearTimeout(late)
      done()
    })
    server.closeIdleConnections()
  })
}
