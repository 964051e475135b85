import type { Config } from '../config/config.ts'
import { accessLog, type AccessLogOptions } from '../observe/accessLog.ts'
import { openLog, type Log } from '../observe/log.ts'
import { metrics as openMetrics, type Metrics } from '../observe/metrics.ts'
import { openClients } from './clients.ts'
import { wheel } from './clock.ts'
import type { Call, Handler } from './call.ts'
import { openCredential } from './credentials.ts'
import { SidecarError } from './errors.ts'
import type { Admission } from './layers/admit.ts'
import type { Held } from './layers/read.ts'
import { cancel } from './life.ts'
import { memoryLimit } from './memoryLimit.ts'
import { pipeline, type Surroundings } from './pipeline.ts'
import { openAdmin } from './serve/admin.ts'
import { border } from './serve/border.ts'
import { callIds } from './serve/callIds.ts'
import { drain } from './serve/drain.ts'
import { listen, type Listener } from './serve/listener.ts'
import { openTls } from './serve/tlsFiles.ts'
import { portTrouble } from './serve/portTrouble.ts'
import { tunnel, type Tunnel } from './serve/tunnel.ts'
import { openTarget } from './upstream/target.ts'

export interface Proxy {
  readonly port: number
  readonly adminPort: number
  readonly addresses: readonly string[]
  /** Finishes what is in flight; resolves when the process may end. A second call ends at once. */
  readonly drain: () => Promise<void>
  /** Ends at once, whatever is in flight. */
  readonly close: () => Promise<void>
  /** Writes into the log why the process ends at once. */
  readonly lastWords: (err: unknown) => void
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
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const opened: Opened = []
  try {
    return await start(options, opened)
  } catch (err) {
    undo(opened)
    throw err
  }
}

/** Whatever is opened is noted in `opened`, so that a start that fails half-way leaves nothing behind. */
async function start({ config, warnings, env, write }: ProxyOptions, opened: Opened): Promise<Proxy> {
  const log = openLog(config.log.level, write)
  const say: Say = (level, message) => {
    log.logger[level](message)
  }
  for (const warning of warnings) say('warn', warning)

  const state = await openState(config, env, say, opened)
  const { clock, admission, held, target } = state
  const metrics = openMetrics({
    now: clock.now,
    inFlight: () => admission.inFlight,
    heldBytes: () => held.bytes,
    connections: target.pool.stats,
    webSockets: () => sockets.open(),
    droppedLines: log.dropped,
    urlOf: () => target.url,
  })
  const told = reporting(config, log, metrics.observe, { now: clock.now, secrets: target.secrets })
  const handle = pipeline(config, { ...state, ...told }, target)
  const newId = callIds()
  const sockets = openTunnel(config, state, told, newId)
  const { listening, admin, leave } = await openPorts({ config, say, state, sockets, metrics, handle, newId, defect: told.defect }, opened)
  const where = `${listening.addresses.join(' and ')}, admin port ${admin.port}`
  say('info', `listening on ${where}, upstream ${target.name} (${target.url.origin})`)

  const close = async (): Promise<void> => {
    undo(opened)
    await sockets.settled()
    // What was just closed tells so in this turn of the event loop, behind what comes at once, and calls that end by it are still counted
    // and logged.
    for (let turn = 0; turn < 2; turn++) {
      await new Promise((done) => {
        setImmediate(done)
      })
    }
  }
  return {
    port: listening.port,
    adminPort: admin.port,
    addresses: listening.addresses,
    drain: async () => {
      await leave()
      await close()
    },
    close,
    lastWords: (err) => {
      log.logger.fatal({ err }, 'a defect of Outrider ends the process')
    },
    residue: () => ({
      inFlight: admission.inFlight,
      alarms: clock.pending(),
      connections: target.pool.stats().open,
      heldBytes: held.bytes,
    }),
  }
}

type Say = (level: 'info' | 'warn' | 'error', message: string) => void
type Opened = (() => void)[]

/** What all calls share. */
async function openState(config: Config, env: ProxyOptions['env'], say: Say, opened: Opened) {
  const clock = wheel()
  const admission: Admission = { inFlight: 0, seen: 0, lives: new Set(), closed: false }
  const held: Held = { bytes: 0, limit: memoryLimit(config.limits.memory, process.constrainedMemory()) }
  const [upstream] = config.upstreams
  if (upstream === undefined) throw new Error('a config without upstreams is refused before it comes here')
  const source = upstream.credential === undefined ? undefined : config.credentials[upstream.credential]
  const key = source === undefined ? undefined : await openCredential({ name: upstream.credential ?? '', source, env, say })
  opened.push(() => key?.close())
  const clients = await openClients(config, say)
  opened.push(clients.close)
  const target = openTarget(upstream, config, { key, clock, say })
  opened.push(target.close)
  return { clock, admission, held, target, clients: clients.current }
}

interface Inside {
  readonly config: Config
  readonly say: Say
  readonly state: Awaited<ReturnType<typeof openState>>
  readonly sockets: Tunnel
  readonly metrics: Metrics
  readonly handle: Handler
  readonly newId: () => string
  readonly defect: Surroundings['defect']
}

/** The two ways in, and how they are left: `leave` resolves when nobody needs them any more, the second time at once. */
async function openPorts({ config, say, state, sockets, metrics, handle, newId, defect }: Inside, opened: Opened) {
  const { clock, admission, held } = state
  let draining = false
  let listener: Listener | undefined
  const onCall = border({
    handle,
    clock,
    newId,
    held,
    headerLines: config.limits.headers,
    clientBodyMs: config.timeouts.clientBody,
    broken: (req) => listener?.broken(req),
    closing: () => draining,
    defect,
  })
  const admin = await openAdmin({
    ...config.admin,
    metrics,
    ready: () => listener !== undefined && !draining,
    started: () => listener !== undefined,
  }).catch(portTrouble('admin.port'))
  opened.push(admin.close)
  const tls = openTls(config.listen.tls, say)
  const listening = await listen({
    host: config.listen.host,
    port: config.listen.port,
    tls: tls.current,
    headerBytes: config.limits.header,
    clientHeadMs: config.timeouts.clientHead,
    keepAliveMs: config.timeouts.keepAlive,
    onCall,
    onUpgrade: sockets.upgrade,
    onRefused: (err) => {
      metrics.refused(err.kind)
    },
  }).catch(portTrouble('listen.port'))
  listener = listening
  opened.push(() => {
    listening.stopListening()
    sockets.closeAll(1001, 'shutting down')
    listening.closeAll()
  })
  opened.push(tls.watch(listening.setTls))

  const leave = async (): Promise<void> => {
    if (draining) return
    draining = true
    say('info', `told to stop: finishing ${admission.inFlight} calls, at most ${config.drain.grace / 1_000} s`)
    // Idle connections stay open: a call may be on its way on them, and what Node takes for idle includes those that have just been opened.
    // Each is closed by its next answer, and all of them at the end.
    await new Promise<void>((stop) => {
      const end = drain({
        clock,
        admission,
        busy: () => admission.inFlight + sockets.open(),
        graceMs: config.drain.grace,
        idleExitMs: config.drain.idleExit,
        cut: () => {
          cutCalls(admission)
          sockets.closeAll(1001, 'shutting down')
        },
        stop,
        say: (message) => {
          say('info', message)
        },
      })
      opened.push(end)
    })
  }
  return { listening, admin, leave }
}

function openTunnel(
  { limits, timeouts }: Config,
  { target, ...state }: Inside['state'],
  told: Pick<Surroundings, 'report' | 'defect'>,
  newId: () => string,
): Tunnel {
  return tunnel({
    ...state,
    ...told,
    newId,
    connector: target.plainConnector,
    upstream: { name: target.name, authority: target.url.host, base: target.base },
    scheme: target.scheme,
    key: target.key,
    limit: limits.inFlight,
    headerLines: limits.headers,
    // A model has nothing to think about before an upgrade.
    firstMs: timeouts.connect,
    idleMs: timeouts.webSocketIdle,
    totalMs: timeouts.streamTotal,
  })
}

/** What is told of calls, beside what clients are told. */
function reporting(
  config: Config,
  log: Log,
  count: (call: Call) => void,
  options: Pick<AccessLogOptions, 'now' | 'secrets'>,
): Pick<Surroundings, 'report' | 'defect'> {
  const logCall = accessLog({ ...options, write: log.write, level: config.log.level, sample: config.log.sample })
  return {
    report: (call) => {
      count(call)
      logCall?.(call)
    },
    defect: (call, err) => {
      log.logger.error({ call: call.id, err: err.cause ?? err }, 'a defect of Outrider')
    },
  }
}

function cutCalls({ lives }: Admission): void {
  for (const life of lives) {
    cancel(life, new SidecarError('draining', 'this pod is shutting down and its grace is over', { retryAfterMs: 1_000 }))
  }
}

/** The latest first, as each stands on those before it; a second time does nothing. */
function undo(opened: Opened): void {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) close()
}
