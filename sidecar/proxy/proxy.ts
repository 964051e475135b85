import { readFileSync } from 'node:fs'
import type { Config } from '../config/config.ts'
import { watchFiles, type Watched } from '../config/watchFiles.ts'
import { accessLog } from '../observe/accessLog.ts'
import { openLog } from '../observe/log.ts'
import { metrics as openMetrics } from '../observe/metrics.ts'
import { openClients } from './clients.ts'
import { wheel } from './clock.ts'
import type { Call } from './call.ts'
import { openCredential } from './credentials.ts'
import { SidecarError } from './errors.ts'
import type { Admission } from './layers/admit.ts'
import type { Held } from './layers/read.ts'
import { cancel } from './life.ts'
import { pipeline } from './pipeline.ts'
import { openAdmin } from './serve/admin.ts'
import { border } from './serve/border.ts'
import { drain } from './serve/drain.ts'
import { listen, type Listener } from './serve/listener.ts'
import { openTarget } from './upstream/target.ts'

export interface Proxy {
  readonly port: number
  readonly adminPort: number
  readonly addresses: readonly string[]
  /** Finishes what is in flight; resolves when the process may end. A second call ends at once. */
  readonly drain: () => Promise<void>
  /** Ends at once, whatever is in flight. */
  readonly close: () => Promise<void>
  /** What is open now; all zero after a close. For tests and for those who look for a leak. */
  readonly residue: () => { inFlight: number; alarms: number; connections: number; heldBytes: number }
}

export interface ProxyOptions {
  readonly config: Config
  readonly warnings: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where log lines go; standard output unless told otherwise. */
  readonly write?: (lines: string) => void
}

/** Config in, a listening proxy out: state, then pipeline, then listeners, and the way back down. */
export async function startProxy({ config, warnings, env, write }: ProxyOptions): Promise<Proxy> {
  const log = openLog(config.log.level, write)
  const say = (level: 'info' | 'warn' | 'error', message: string): void => {
    log.logger[level](message)
  }
  for (const warning of warnings) say('warn', warning)

  const clock = wheel()
  const admission: Admission = { inFlight: 0, seen: 0, lives: new Set(), closed: false }
  const held: Held = { bytes: 0, limit: heldLimit(config) }
  const [upstream] = config.upstreams
  if (upstream === undefined) throw new Error('a config without upstreams is refused before it comes here')
  const source = upstream.credential === undefined ? undefined : config.credentials[upstream.credential]
  const key = source === undefined ? undefined : openCredential({ name: upstream.credential ?? '', source, env, say })
  const clients = await openClients(config, say)
  const target = openTarget(upstream, config, key, clock, say)

  const metrics = openMetrics({
    now: clock.now,
    inFlight: () => admission.inFlight,
    heldBytes: () => held.bytes,
    connections: target.pool.stats,
    webSockets: () => sockets.open(),
  })
  const logCall = log.logger.isLevelEnabled('info') ? accessLog({ now: clock.now, write: log.write }) : undefined
  const report = (call: Call): void => {
    metrics.observe(call)
    logCall?.(call)
  }
  const defect = (call: Call, err: SidecarError): void => {
    log.logger.error({ call: call.id, err: err.cause ?? err }, 'a defect of Outrider')
  }
  const surroundings = { clock, report, defect, admission, held, clients: clients.current }
  const handle = pipeline(config, surroundings, target)

  let draining = false
  const onCall = border({
    handle,
    clock,
    clientBodyMs: config.timeouts.clientBody,
    broken: (req) => listener?.broken(req),
    closing: () => draining,
  })
  const sockets = {
    open: () => 0,
    closeAll: (_code: number, _reason: string) => {},
    upgrade: (_req: unknown, socket: { destroy: () => void }) => {
      socket.destroy()
    },
  }
  let listener: Listener | undefined
  const { tls } = config.listen
  const readTls = (): { cert: string; key: string } | undefined =>
    tls === undefined ? undefined : { cert: readFileSync(tls.cert, 'utf8'), key: readFileSync(tls.key, 'utf8') }
  let tlsFiles: Watched | undefined

  const admin = await openAdmin({
    ...config.admin,
    metrics,
    ready: () => listener !== undefined && !draining,
    started: () => listener !== undefined,
  })
  try {
    listener = await listen({
      host: config.listen.host,
      port: config.listen.port,
      tls: readTls(),
      headerBytes: config.limits.header,
      headerLines: config.limits.headers,
      clientHeadMs: config.timeouts.clientHead,
      keepAliveMs: config.timeouts.keepAlive,
      onCall,
      onUpgrade: sockets.upgrade,
      onRefused: (err) => {
        metrics.refused(err.kind)
      },
    })
  } catch (err) {
    admin.close()
    throw err
  }
  const listening = listener
  if (tls !== undefined)
    tlsFiles = watchFiles([tls.cert, tls.key], () => {
      renewTls(listening, readTls, say)
    })
  say(
    'info',
    `listening on ${listening.addresses.join(' and ')}, admin port ${admin.port}, upstream ${upstream.name} (${target.url.origin})`,
  )

  const close = async (): Promise<void> => {
    listening.stopListening()
    sockets.closeAll(1001, 'shutting down')
    listening.closeAll()
    admin.close()
    tlsFiles?.close()
    clients.close()
    key?.close()
    target.close()
    await new Promise((done) => {
      setImmediate(done)
    })
  }
  const cut = (): void => {
    for (const life of [...admission.lives]) cancel(life, new SidecarError('draining', 'this pod is shutting down and its grace is over'))
    sockets.closeAll(1001, 'shutting down')
  }
  return {
    port: listening.port,
    adminPort: admin.port,
    addresses: listening.addresses,
    drain: () => {
      if (draining) return close()
      draining = true
      say('info', `told to stop: finishing ${admission.inFlight} calls, at most ${config.drain.grace / 1_000} s`)
      listening.closeIdle()
      return new Promise((done, fail) => {
        const stop = (): void => {
          close().then(done, fail)
        }
        drain({
          clock,
          admission,
          graceMs: config.drain.grace,
          idleExitMs: config.drain.idleExit,
          cut,
          stop,
          say: (message) => {
            say('info', message)
          },
        })
      })
    },
    close,
    residue: () => ({
      inFlight: admission.inFlight,
      alarms: clock.pending(),
      connections: target.pool.stats().open,
      heldBytes: held.bytes,
    }),
  }
}

function renewTls(
  listener: Listener,
  read: () => { cert: string; key: string } | undefined,
  say: (level: 'info' | 'error', message: string) => void,
): void {
  try {
    const tls = read()
    if (tls !== undefined) listener.setTls(tls)
    say('info', 'the certificate of the data port was read again')
  } catch (err) {
    say('error', `the certificate of the data port cannot be used, the one from before stays (${(err as Error).message})`)
  }
}

function heldLimit({ limits: { memory } }: Config): number {
  if ('bytes' in memory) return memory.bytes
  const constrained = process.constrainedMemory()
  // Without a cgroup limit the figure is absent, or larger than any machine.
  const available = constrained > 0 && constrained < 2 ** 50 ? constrained : 2 ** 30
  return Math.floor(available * memory.share)
}
