import assert from 'node:assert/strict'
import { answers, chat, deadUpstream, provider, type Owner, type Provider, type Step } from '../fixtures/provider.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'

/** How many calls the app makes, and how many of them at a time. */
export const calls = 24
export const atATime = 12

/** Says at the upstream which call of the app a request is for, however often the client repeats it. */
export const callHeader = 'x-test-call'

type Kind = 'fails' | 'limits' | 'storms' | 'refuses' | 'answers'

export interface Scenario {
  readonly name: string
  readonly upstreams: readonly Kind[]
  /** Most attempts at upstreams for a call of the app, over all calls. */
  readonly most: number
  /** How many of the calls are answered; undefined where that is a matter of chance. */
  readonly answered: number | undefined
}

const none = 3.25
const few = 1.5

/**
 * What the client and the sidecar do together. Where no upstream answers the client repeats by itself, twice; the sidecar then adds next to
 * nothing, and stops the client wherever it has repeated already.
 */
export const scenarios: readonly Scenario[] = [
  { name: 'both fail', upstreams: ['fails', 'fails'], most: none, answered: 0 },
  { name: 'one of two fails', upstreams: ['fails', 'answers'], most: few, answered: calls },
  { name: 'both refuse connections', upstreams: ['refuses', 'refuses'], most: none, answered: 0 },
  { name: 'one of two refuses connections', upstreams: ['refuses', 'answers'], most: few, answered: calls },
  { name: 'both are over their limit', upstreams: ['limits', 'limits'], most: none, answered: 0 },
  { name: 'one of two is over its limit', upstreams: ['limits', 'answers'], most: few, answered: calls },
  { name: 'both take four calls a second', upstreams: ['storms', 'storms'], most: none, answered: undefined },
]

/** No call of the app costs more: one attempt for each of its client's requests, and one more for the last. */
const mostOfOneCall = 4

const error = (message: string): object => ({ error: { message, type: 'x', param: null, code: null } })
const limits = answers(429, error('slow down'), { 'retry-after': '1' })

const steps: Readonly<Record<Exclude<Kind, 'refuses'>, () => Step>> = {
  fails: () => answers(500, error('broken')),
  limits: () => limits,
  answers: () => chat('here'),
  storms: () => {
    let second = 0
    let taken = 0
    return async (exchange) => {
      const now = Math.floor(Date.now() / 1_000)
      if (now !== second) taken = 0
      second = now
      await (++taken > 4 ? limits : chat('here'))(exchange)
    }
  },
}

export interface Stage {
  /** Where the client is to call. */
  readonly url: string
  /** Ends the sidecar and tells what came to the upstreams. */
  readonly counted: () => Promise<{ readonly all: number; readonly ofOneCall: number }>
}

/** Two upstreams that do as the scenario says, and a sidecar in front of them as it runs without any setting for repeats. */
export async function stage(t: Owner, { upstreams: kinds }: Scenario): Promise<Stage> {
  const providers: Provider[] = []
  const urls: string[] = []
  for (const kind of kinds) {
    const one = kind === 'refuses' ? undefined : await provider(t, steps[kind]())
    if (one !== undefined) providers.push(one)
    urls.push(one?.url ?? (await deadUpstream()))
  }
  const [first = ''] = urls
  const upstreams = urls.map((url, at) => ({ name: 'ab'[at], url: `${url}/v1`, credential: 'fake' }))
  const outrider = await runOutrider(t, first, { upstreams })
  return {
    url: outrider.url,
    counted: async () => {
      outrider.child.kill('SIGTERM')
      await outrider.exit
      // Of connections that are refused only the sidecar knows.
      const all = outrider.lines().reduce((sum, { attempts }) => sum + Number(attempts ?? 0), 0)
      return { all, ofOneCall: mostAlike(providers) }
    },
  }
}

/** The most requests that were for one call of the app. */
export function mostAlike(providers: readonly Provider[]): number {
  const seen = providers.flatMap((one) => one.seen)
  return Math.max(
    0,
    ...Map.groupBy(seen, ({ headers }) => headers[callHeader])
      .values()
      .map((alike) => alike.length),
  )
}

/** The figures of a scenario in one line, if they are within its bounds. */
export function judged(scenario: Scenario, good: number, { all, ofOneCall }: Awaited<ReturnType<Stage['counted']>>): string {
  const { name, most, answered } = scenario
  const figure = `${name}: ${good} of ${calls} answered, ${(all / calls).toFixed(2)} attempts a call, at most ${ofOneCall}`
  assert.ok(answered === undefined || good === answered, figure)
  assert.ok(all <= most * calls && ofOneCall <= mostOfOneCall, figure)
  return figure
}
