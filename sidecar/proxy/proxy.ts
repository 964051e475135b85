import type { Config } from '../config/config.ts'
import type { Followed } from '../config/follow.ts'
import { openLog, type Log } from '../observe/log.ts'
import { metrics as openMetrics } from '../observe/metrics.ts'
import { namedModels } from '../observe/namedModels.ts'
import { openCanaries } from './canary/canaries.ts'
import { sayCanary } from './canary/news.ts'
import { wheel, type Clock } from './clock.ts'
import { kept, type Kept } from './kept.ts'
import type { Admission } from './layers/admit.ts'
import type { Held } from './layers/read.ts'
import { live as openLive, type Live } from './live.ts'
import { memoryLimit } from './memoryLimit.ts'
import { openPorts, type Ports } from './ports.ts'
import { reload } from './reload.ts'
import { openServing, type Lasting, type Say } from './serving.ts'
import { callIds } from './serve/callIds.ts'
import { tellToken } from './serve/controlToken.ts'
import { openControl } from './serve/openControl.ts'
import { tunnel } from './serve/tunnel.ts'
import type { HealthState } from './upstream/health.ts'
import { stateOf } from './upstream/stateOf.ts'
import type { OpenTarget } from './upstream/target.ts'
import { budgets, strategies } from './upstreams.ts'

export interface Proxy {
  readonly port: number
  readonly adminPort: number
  /** Undefined where nothing listens for it. */
  readonly controlPort: number | undefined
  readonly addresses: readonly string[]
  /** Finishes what is in flight; resolves when the process may end. A second call ends at once. */
  readonly drain: () => Promise<void>
  /** Ends at once, whatever is in flight. */
  readonly close: () => Promise<void>
  /** Resolves when a program of the pod has asked for the end of this process, where it may, or all of them have ended, where that counts. */
  readonly toldToQuit: Promise<void>
  /** Reads the config again, changed or not; resolves when it is in use or refused. */
  readonly reload: () => Promise<void>
  /** Writes into the log why the process ends at once. */
  readonly lastWords: (err: unknown) => void
  /** What is open now; all zero after a close. For tests and for those who look for a leak. */
  readonly residue: () => { inFlight: number; alarms: number; connections: number; heldBytes: number }
}

export interface ProxyOptions {
  readonly config: Config
  readonly warnings: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where the config comes from and may change; without it, it stays what it is. */
  readonly source?: Followed
  /** Where log lines go; standard output unless told otherwise. */
  readonly write?: (lines: string) => void
  /** What all its waits go by. */
  readonly clock?: Clock
}

/** Config in, a listening proxy out: state, then the way of a call, then listeners, and the way back down. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const opened: Opened = []
  try {
    return await start(options, opened)
  } catch (err) {
    undo(opened)
    throw err
  }
}

/** All that a simulation would have the same in every run. */
const byChance = (random: () => number) => ({ random, strategyOf: strategies(random), epochMs: Date.now })

type Opened = (() => void)[]

/** Whatever is opened is noted in `opened`, so that a start that fails half-way leaves nothing behind. */
async function start({ config, warnings, env, source, write, clock = wheel() }: ProxyOptions, opened: Opened): Promise<Proxy> {
  const targets = kept<OpenTarget>()
  const log = openLog(config.log.level, { write, secrets: () => targets.all().flatMap((target) => target.secrets()) })
  const say: Say = (level, message) => {
    log.logger[level](message)
  }
  for (const warning of warnings) say('warn', warning)

  const admission: Admission = { inFlight: 0, seen: 0, lives: new Set(), closed: false }
  const held: Held = { bytes: 0, limit: memoryLimit(config.limits.memory, process.constrainedMemory()) }
  const metrics = openMetrics({
    now: clock.now,
    inFlight: () => admission.inFlight,
    heldBytes: () => held.bytes,
    connections: () => connectionsOf(targets),
    webSockets: () => sockets.open(),
    droppedLines: log.dropped,
    pins: () => lasting.pinBook.size,
    config: () => reloading.state(),
    isNamedModel: (model) => namedModels(live.current.config).has(model),
    canaries: () => canaries.all(),
    upstreamStates: () => statesOf(live.current.targets, clock.now()),
  })
  const canaries = await openCanaries(config, { now: clock.now, say, changed: sayCanary(log) })
  const lasting: Lasting = {
    beganMs: clock.now(),
    configName: source?.name ?? 'config',
    env,
    log,
    clock,
    admission,
    held,
    metrics,
    newId: callIds(),
    credentials: kept(),
    clients: kept(),
    targets,
    checkers: kept(),
    budgetFor: budgets(),
    ...byChance(Math.random),
    canaries,
    refused: metrics.unrepeated,
    pinBook: new Map(),
  }
  const live = openLive(await openServing(config, lasting, say), lasting, say)
  opened.push(live.close)
  canaries.adopt(config, live.current.candidates)
  const sockets = tunnel((url) => live.current.sockets(url))
  const ports = await openPorts({ live, lasting, metrics, sockets, say }, opened)
  const { listening, admin } = ports
  const apply = (next: Config): Promise<void> => replace(next, live, ports, say)
  const reloading = reload({ source, warnings, current: () => live.current.config, apply, say })
  opened.push(reloading.close)
  const quitting = Promise.withResolvers<void>()
  const control = await openControl({
    live,
    say,
    canaries,
    quit: () => {
      say('info', 'told to quit by a program of the pod')
      quitting.resolve()
    },
    listening: { data: listening.addresses, admin: admin.port },
    draining: ports.isDraining,
    alarms: clock.pending,
    heldBytes: () => held.bytes,
    webSockets: sockets.open,
    pins: () => lasting.pinBook.size,
    configState: reloading.state,
  })
  opened.push(() => control?.close())
  opened.push(await endingAfterContainers(config, clock, say, quitting.resolve))
  const where = `${listening.addresses.join(' and ')}, admin port ${admin.port}${control === undefined ? '' : `, control port ${control.port}`}`
  say('info', `listening on ${where}, ${namesOf(live.current.targets)}`)

  const close = async (): Promise<void> => {
    undo(opened)
    await sockets.settled()
    await canaries.saved()
    await closingsTold()
  }
  return {
    port: listening.port,
    adminPort: admin.port,
    controlPort: control?.port,
    addresses: listening.addresses,
    drain: () => ports.leave().then(close),
    close,
    toldToQuit: quitting.promise,
    reload: reloading.now,
    lastWords: lastWordsTo(log),
    residue: () => ({
      inFlight: admission.inFlight,
      alarms: clock.pending(),
      connections: connectionsOf(targets).open,
      heldBytes: held.bytes,
    }),
  }
}

async function replace(next: Config, live: Live, { prepare }: Ports, say: Say): Promise<void> {
  const { control: before } = live.current.config
  await live.replace(next, prepare)
  await tellToken(next, before, say)
}

const lastWordsTo =
  ({ logger }: Pick<Log, 'logger'>): Proxy['lastWords'] =>
  (err) => {
    logger.fatal({ err }, 'a defect of Outrider ends the process')
  }

/**
 * What was just closed tells so in this turn of the event loop, behind what comes at once, and calls that end by it are still counted and
 * logged.
 */
async function closingsTold(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((done) => {
      setImmediate(done)
    })
  }
}

/** Where the config says so, the end of the app is an order to stop. The answer ends the watch. */
async function endingAfterContainers(
  { drain: { afterContainers: count } }: Config,
  clock: Clock,
  say: Say,
  stop: () => void,
): Promise<() => void> {
  if (count === 0) return () => {}
  const { watchContainers } = await import('./containers.ts')
  const ended = (): void => {
    say('info', 'every other container of the pod has ended')
    stop()
  }
  return watchContainers({ clock, count, say, ended })
}

const namesOf = (upstreams: readonly OpenTarget[]): string =>
  `upstream${upstreams.length > 1 ? 's' : ''} ${upstreams.map(({ name, url }) => `${name} (${url.origin})`).join(', ')}`

/** Those of all targets: one from before the last reload may still have calls to end. */
function connectionsOf(targets: Kept<OpenTarget>): { open: number; busy: number; waiting: number } {
  const sum = { open: 0, busy: 0, waiting: 0 }
  for (const { pool } of targets.all()) {
    const { open, busy, waiting } = pool.stats()
    sum.open += open
    sum.busy += busy
    sum.waiting += waiting
  }
  return sum
}

const statesOf = (upstreams: readonly OpenTarget[], now: number): { upstream: string; state: HealthState }[] =>
  upstreams.map(({ name, accounts }) => ({ upstream: name, state: stateOf(accounts, now) }))

/** The latest first, as each stands on those before it; a second time does nothing. */
function undo(opened: Opened): void {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) close()
}
