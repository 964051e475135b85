import type { Config } from '../config/config.ts'
import { ConfigRefused } from '../config/refused.ts'
import type { Metrics } from '../observe/metrics.ts'
import { SidecarError } from './errors.ts'
import type { Admission } from './layers/admit.ts'
import { cancel } from './life.ts'
import type { Lasting, Say, Serving } from './serving.ts'
import { openAdmin, type Admin } from './serve/admin.ts'
import { border } from './serve/border.ts'
import { drain } from './serve/drain.ts'
import { listen, type Bounds, type Listener } from './serve/listener.ts'
import { refusedLines } from './serve/refusedLines.ts'
import { portTrouble } from './serve/portTrouble.ts'
import { openTls } from './serve/tlsFiles.ts'
import type { Tunnel } from './serve/tunnel.ts'

export interface Ports {
  readonly listening: Listener
  readonly admin: Admin
  /** Makes ready for another config and throws `ConfigRefused` where it cannot; the answer goes over to it. */
  readonly prepare: (next: Config) => () => void
  readonly isDraining: () => boolean
  /** Resolves when nobody needs the ports any more; the second time at once. */
  readonly leave: () => Promise<void>
}

export interface PortsOptions {
  readonly live: { readonly current: Serving }
  readonly lasting: Lasting
  readonly metrics: Metrics
  readonly sockets: Tunnel
  readonly say: Say
}

/** The ways in, and how they are left. What is opened is noted in `opened`. */
export async function openPorts({ live, lasting, metrics, sockets, say }: PortsOptions, opened: (() => void)[]): Promise<Ports> {
  const { clock, admission, held, newId } = lasting
  const { config } = live.current
  let draining = false
  let listener: Listener | undefined
  const onCall = border({
    live,
    clock,
    newId,
    held,
    broken: (req) => listener?.broken(req),
    closing: () => draining,
    defect: (call, err) => {
      live.current.defect(call, err)
    },
  })
  const tellRefused = refusedLines({ now: clock.now, say })
  const admin = await openAdmin({
    ...config.admin,
    metrics,
    ready: () => listener !== undefined && !draining,
    started: () => listener !== undefined,
    whyNot: () => (draining ? 'shutting down: calls in flight are being finished' : 'not yet listening'),
  }).catch(portTrouble('admin.port'))
  opened.push(admin.close)
  const tls = openTls(config.listen.tls, say)
  const listening = await listen({
    host: config.listen.host,
    port: config.listen.port,
    tls: tls.current,
    ...boundsOf(config),
    onCall,
    onUpgrade: sockets.upgrade,
    onRefused: (err) => {
      metrics.refused(err.kind)
      tellRefused(err)
    },
  }).catch(portTrouble('listen.port'))
  listener = listening
  opened.push(() => {
    listening.stopListening()
    sockets.closeAll(1001, shuttingDown)
    listening.closeAll()
  })
  let endTls = tls.watch(listening.setTls)
  opened.push(() => {
    endTls()
  })

  const prepare: Ports['prepare'] = (next) => {
    const now = live.current.config
    refuseMoved(now, next, lasting.configName)
    const same = JSON.stringify(next.listen.tls) === JSON.stringify(now.listen.tls)
    const renewed = same ? undefined : openTls(next.listen.tls, say)
    return () => {
      listening.setBounds(boundsOf(next))
      if (renewed?.current === undefined) return
      endTls()
      listening.setTls(renewed.current)
      endTls = renewed.watch(listening.setTls)
    }
  }

  const leave = async (): Promise<void> => {
    if (draining) return
    draining = true
    // What they would find out is of use to nobody any more.
    for (const checker of lasting.checkers.all()) checker.stop()
    const { grace, idleExit } = live.current.config.drain
    say('info', `told to stop: calls in flight (${admission.inFlight}) have at most ${grace / 1_000} s (drain.grace) to end`)
    // Idle connections stay open: a call may be on its way on them, and what Node takes for idle includes those that have just been opened.
    // Each is closed by its next answer, and all of them at the end.
    await new Promise<void>((stop) => {
      const end = drain({
        clock,
        admission,
        busy: () => admission.inFlight,
        graceMs: grace,
        idleExitMs: idleExit,
        cut: () => {
          cutCalls(admission, grace)
          sockets.closeAll(1001, shuttingDown)
        },
        stop,
        say: (message) => {
          say('info', message)
        },
      })
      opened.push(end)
    })
  }
  return { listening, admin, prepare, isDraining: () => draining, leave }
}

/** What WebSockets are told. */
const shuttingDown = 'Outrider: this pod is shutting down (draining)'

const boundsOf = ({ limits, timeouts }: Config): Bounds => ({
  headerBytes: limits.header,
  clientHeadMs: timeouts.clientHead,
  keepAliveMs: timeouts.keepAlive,
})

/** What a running proxy cannot move: whoever calls it would have to be told. */
const fixed: Readonly<Record<string, (config: Config) => string | number>> = {
  'listen.host': ({ listen: { host } }) => host,
  'listen.port': ({ listen: { port } }) => port,
  'listen.tls': ({ listen: { tls } }) => (tls === undefined ? 'off' : 'on'),
  'admin.host': ({ admin: { host } }) => host,
  'admin.port': ({ admin: { port } }) => port,
  'control.off': ({ control: { off } }) => String(off),
  'drain.afterContainers': ({ drain: { afterContainers } }) => afterContainers,
  'control.port': ({ control: { port } }) => port,
}

function refuseMoved(now: Config, next: Config, source: string): void {
  const problems = Object.entries(fixed)
    .filter(([, of]) => of(now) !== of(next))
    .map(([path, of]) => ({ path, message: `cannot change while the proxy runs (${of(now)} → ${of(next)}): restart it for that` }))
  if (problems.length > 0) throw new ConfigRefused(source, problems)
}

function cutCalls({ lives }: Admission, graceMs: number): void {
  for (const life of lives) {
    cancel(
      life,
      new SidecarError('draining', `this pod is shutting down, and its grace of ${graceMs / 1_000} s (drain.grace) is nearly over`, {
        retryAfterMs: 1_000,
      }),
    )
  }
}
