import { stack, type Call, type Handler, type Layer } from './call.ts'
import type { Clock } from './clock.ts'
import type { SidecarError } from './errors.ts'
import { admit, type Admission } from './layers/admit.ts'
import { answer } from './layers/answer.ts'
import { bodies } from './layers/bodies.ts'
import { body } from './layers/body.ts'
import { canary } from './layers/canary.ts'
import { cors, type CorsOptions } from './layers/cors.ts'
import { credential, type Key, type Scheme } from './layers/credential.ts'
import { choose, type ChooseOptions } from './layers/choose.ts'
import { deadline } from './layers/deadline.ts'
import { events } from './layers/events.ts'
import { fallback, type FallbackOptions } from './layers/fallback.ts'
import { home, type HomeOptions } from './layers/home.ts'
import { identify, type Client } from './layers/identify.ts'
import { health, stats, type Document } from './layers/local.ts'
import { locate } from './layers/locate.ts'
import { measure } from './layers/measure.ts'
import { mergedModels, type ListOptions } from './layers/mergedModels.ts'
import { models, type ModelsOptions } from './layers/models.ts'
import { pin, type Learn } from './layers/pin.ts'
import { read, type Held } from './layers/read.ts'
import { rename, type RenameOptions } from './layers/rename.ts'
import { resume } from './layers/resume.ts'
import { retry, type RetryOptions } from './layers/retry.ts'
import { route, type RouteOptions } from './layers/route.ts'
import { stale } from './layers/stale.ts'
import { streamAlias } from './layers/streamAlias.ts'
import type { ResumeOptions } from './resumable.ts'
import type { FirstBytes } from './upstream/firstBytes.ts'
import type { Patience } from './upstream/patience.ts'
import type { Standing } from './upstream/standing.ts'

export interface Settings {
  readonly timeouts: { readonly total: number; readonly streamTotal: number; readonly idle: number }
  readonly limits: { readonly inFlight: number; readonly jsonBody: number; readonly uploadBody: number; readonly replayBody: number }
  readonly streams: {
    readonly heartbeat: number
    readonly longestEvent: number
    readonly leastRate: number
    readonly malformed: 'pass' | 'end'
  }
  readonly log: { readonly bodies: number }
  /** Which answers of ours take the place of the upstream's. */
  readonly local: { readonly health: boolean; readonly stats: boolean; readonly models: boolean; readonly streamAlias: boolean }
  readonly cors?: CorsOptions
}

/** What the layers share with the rest of the process. */
export interface Surroundings {
  readonly clock: Clock
  readonly report: (call: Call) => void
  readonly defect: (call: Call, err: SidecarError) => void
  readonly admission: Admission
  readonly held: Held
  readonly clients: () => readonly Client[] | undefined
  readonly status: { readonly health: () => Document; readonly stats: () => Document }
}

/** One upstream, ready to be called. */
export interface Target {
  readonly scheme: Scheme
  readonly firstBytes: FirstBytes
  readonly dispatch: Handler
  /** One for each of its credentials, or the one that has none. */
  readonly accounts: readonly Account[]
}

export interface Account {
  /** Empty where there is none. */
  readonly credential: string
  readonly key: Key | undefined
  readonly standing: Standing
}

/**
 * The way of a call, outermost layer first: a call goes down the list, its reply comes back up.
 * Each line says why it stands where it stands; move it only with that reason in hand.
 */
export function pipeline(settings: Settings, around: Surroundings, ways: Ways): Handler {
  const { timeouts, limits, local, log } = settings
  const { clock, report, defect, admission, held, clients, status } = around
  const { routing } = ways
  return stack(
    [
      // Above everything: counts and times what the client really got, our own errors too, to the last byte.
      measure(report, clock.now),
      // Above the catch: a browser may read an answer of ours only if that has the headers too. A preflight carries no key and no work.
      cors(settings.cors),
      // The only catch. Below measure, so that measure sees the status that the client sees.
      answer({ now: clock.now, defect }),
      // Above locate, for its path is not under /v1; above identify and the shedding: probes have no key, and ask when all is full.
      where(local.health, health(status.health)),
      // Above everything that waits, and above the shedding: a call that is turned away needs no slot. Below health, which it passes if that is off.
      locate({ passHealth: !local.health }),
      // Before any work is done and before a byte of the body is read: a stranger costs one hash.
      identify(clients),
      // Below identify: what a gateway has served is no stranger's business. Above the shedding: full is when one looks.
      where(local.stats, stats(status.stats)),
      // Sheds before work is done. A slot is held until the reply's last byte, not until its head.
      admit(limits.inFlight, admission),
      // Below admit, so that a shed call sets no alarm; above everything else that waits.
      deadline({ clock, totalMs: timeouts.total, streamTotalMs: timeouts.streamTotal }),
      // Below deadline, which bounds the wait for the list; above read, since it has no body. What it asks goes the whole way down.
      where(local.models, lists(ways, { clock, totalMs: timeouts.total })),
      // Above every layer that may send a call again, or asks what it is: here its body becomes known.
      read({ now: clock.now, jsonBytes: limits.jsonBody, uploadBytes: limits.uploadBody, replayBytes: limits.replayBody, held }),
      // Below read, which makes the body known, and above what edits it: the log shows what the app said.
      where(log.bodies > 0, bodies(log.bodies)),
      // Below read, which makes the body whole: here it is edited, once for all attempts.
      where(local.streamAlias, streamAlias()),
      // Below all that reads or edits the call for good: from here on it is about where it goes.
      route(routing),
      // Below route, which says where it may go; above all that makes attempts: they go to one home.
      ways.home === undefined ? (next) => next : home(ways.home),
      // Below home, for what a call refers to is on one side only; above fallback, which goes on from whichever side could not answer.
      where(ways.canary, canary()),
      // Above retry: another model is asked only when the attempts with this one have come to nothing.
      fallback({ ...ways.retry, routeOf: routing.routeOf }),
      // Above choose, so that each attempt chooses anew; it alone repeats what has been sent.
      retry(ways.retry),
      // Below retry, which tries as long as the client has nothing; this goes on when it has something. Above choose, for the next upstream.
      resume(ways.resume),
    ],
    // One attempt: at the upstream that is best now. Each of them has a way of its own, below.
    choose(ways.choose),
  )
}

/** One upstream's list passes as that gives it; many upstreams are asked each for its own, by a way that is theirs alone. */
function lists(
  { routing, retry: repeats, choose: among, lists: { sources, aliases } }: Ways,
  options: Pick<ModelsOptions, 'clock' | 'totalMs'>,
): Layer {
  const [only, ...others] = sources
  if (only !== undefined && others.length === 0) return models({ ...options, entries: only.entries })
  // Once each: the others do not wait for the repeats of one that fails, which is asked again soon.
  const asking = route({ ...routing, routes: routing.routes.slice(-1), mayAskUpstream: () => true, attempts: 1 })
  return mergedModels({ ...options, sources, aliases, ask: stack([asking, retry(repeats)], choose(among)) })
}

/** A layer that can be switched off. */
const where = (on: boolean, layer: Layer): Layer => (on ? layer : (next) => next)

/** The part of the way that exists once per upstream and credential, because its state does. */
export function way({ timeouts, streams }: Settings, { clock }: Pick<Surroundings, 'clock'>, to: WayOptions): Handler {
  const { scheme, dispatch } = to.target
  return stack(
    [
      // Above all that cuts and edits: it reads whole events, as the client will.
      pin(to.learn),
      // Above all that sends: each upstream has its own names for models.
      rename(to.rename),
      // Above what may repeat an attempt: the wait for the first event is one wait, however often it was begun.
      events({
        clock,
        patience: to.patience,
        idleMs: timeouts.idle,
        heartbeatMs: streams.heartbeat,
        longestEventBytes: streams.longestEvent,
        leastRate: streams.leastRate,
        malformed: streams.malformed,
      }),
      // The same watch for answers that are no streams. Beside events: each leaves the other's replies alone.
      body({ clock, idleMs: timeouts.idle }),
      // A kept connection that proved dead is no failure of the attempt, and nobody above hears of it.
      stale(),
      // Innermost: no layer above can log, measure or repeat a key it never saw.
      credential(scheme, to.key),
    ],
    dispatch,
  )
}

export interface WayOptions {
  readonly target: Pick<Target, 'scheme' | 'dispatch'>
  readonly patience: Patience
  readonly key: Key | undefined
  /** Undefined where there is no other account. */
  readonly learn: Learn | undefined
  readonly rename: RenameOptions
}

/** How calls find their upstreams. */
export interface Ways {
  /** Some route has one. */
  readonly canary: boolean
  readonly routing: RouteOptions & Pick<FallbackOptions, 'routeOf'>
  /** Undefined where there is only one. */
  readonly home: HomeOptions | undefined
  readonly retry: RetryOptions
  readonly resume: ResumeOptions
  readonly choose: ChooseOptions
  readonly lists: ListOptions
}
