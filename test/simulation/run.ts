import { parseConfig } from '../../sidecar/config/config.ts'
import { openLog } from '../../sidecar/observe/log.ts'
import type { Call, Handler, Upload } from '../../sidecar/proxy/call.ts'
import { openCanaries } from '../../sidecar/proxy/canary/canaries.ts'
import { newFacts } from '../../sidecar/proxy/facts.ts'
import { kept } from '../../sidecar/proxy/kept.ts'
import { finish, newLife } from '../../sidecar/proxy/life.ts'
import { callIds } from '../../sidecar/proxy/serve/callIds.ts'
import { openServing, type Lasting, type Serving } from '../../sidecar/proxy/serving.ts'
import { traceFrom } from '../../sidecar/proxy/trace.ts'
import type { OpenTarget } from '../../sidecar/proxy/upstream/target.ts'
import { budgets, strategies } from '../../sidecar/proxy/upstreams.ts'
import { seeded } from '../upstream/strategies/candidates.ts'
import { byChance } from './faults.ts'
import { figures, type Figures } from './figures.ts'
import { model } from './model.ts'
import type { Scenario } from './scenario.ts'
import { world, type World } from './world.ts'

/** Half of what apps ask for. */
const streamShare = 0.5

/** Sends the calls of a scenario through the layers as they are in the product, in a world without sockets and without waiting. */
export async function simulate(scenario: Scenario): Promise<Figures> {
  const { seed, calls, perSecond, upstreams } = scenario
  const here = world()
  const book = figures(upstreams, here.now)
  // Each has numbers of its own, so that a change in one of them leaves the luck of the others as it was.
  const luck = (of: number): (() => number) => seeded(seed * 1_000 + of)
  const models = new Map(
    Object.entries(upstreams).map(([name, faults], at) => {
      const one = model({ name, world: here, random: luck(10 + at), faults, asked: book.asked })
      return [name, one] as const
    }),
  )
  const serving = await open(scenario, { world: here, random: luck(1), models, changed: book.changed })
  const arrivals = luck(2)
  const prompts = luck(3)
  const prompt = promptsOf()
  let sent = 0
  const arrive = (): void => {
    ask(serving.handle, prompt(prompts), here, book.over)
    sent++
    if (sent < calls) here.at(here.now() + byChance(1_000 / perSecond, arrivals), arrive)
  }
  here.at(0, arrive)
  await here.run(() => sent === calls && book.calls() === calls)
  serving.release()
  // What upstreams still were at, with nobody to hear of it.
  await here.run()
  return book.figures()
}

interface Around {
  readonly world: World
  readonly random: () => number
  readonly models: ReadonlyMap<string, Handler>
  readonly changed: ReturnType<typeof figures>['changed']
}

/** What a process opens for a config, with the models behind it in the place of sockets. */
async function open({ upstreams, document = {} }: Scenario, { world: { clock, now }, random, models, changed }: Around): Promise<Serving> {
  const text = JSON.stringify({
    log: { level: 'error' },
    ...document,
    upstreams: Object.keys(upstreams).map((name) => ({ name, url: `http://${name}.invalid/v1` })),
  })
  const { config } = await parseConfig(text, 'the scenario')
  const targets = kept<OpenTarget>()
  const lasting: Lasting = {
    beganMs: 0,
    configName: 'the scenario',
    env: {},
    log: openLog('silent'),
    clock,
    admission: { inFlight: 0, seen: 0, lives: new Set<Call['life']>(), closed: false },
    held: { bytes: 0, limit: Infinity },
    metrics: { observe: () => {}, checked: () => {}, resumed: () => {}, changed },
    newId: callIds(),
    credentials: kept(),
    clients: kept(),
    checkers: kept(),
    targets: {
      ...targets,
      take: (key: string, openTarget: () => OpenTarget | Promise<OpenTarget>) =>
        targets.take(key, async () => {
          const target = await openTarget()
          return { ...target, dispatch: models.get(target.name) ?? target.dispatch }
        }),
    },
    budgetFor: budgets(),
    strategyOf: strategies(random),
    canaries: await openCanaries(config, { now, say: () => {}, changed: () => {} }),
    random,
    epochMs: now,
    pinBook: new Map(),
    refused: () => {},
  }
  return openServing(config, lasting, () => {})
}

/** From a question to a small document, most of them short. */
function promptsOf(): (random: () => number) => Buffer {
  const kinds = [200, 500, 1_000, 2_000, 4_000, 16_000]
  const bodies = [false, true].map((stream) =>
    kinds.map((bytes) => Buffer.from(JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'x'.repeat(bytes) }] }))),
  )
  return (random) => {
    const ofKind = bodies[random() < streamShare ? 1 : 0] ?? []
    return ofKind[Math.floor(random() ** 1.5 * ofKind.length)] ?? Buffer.alloc(0)
  }
}

/** One call, from its first byte to the last of its answer. */
function ask(handle: Handler, body: Buffer, { now }: World, over: (call: Call, status: number) => void): void {
  const facts = newFacts(now(), trace)
  const life = newLife()
  const call: Call = {
    id: '',
    method: 'POST',
    path: '/chat/completions',
    target: '/v1/chat/completions',
    headers,
    body: uploadOf(body),
    wishes,
    life,
    facts,
    fresh: false,
    last: false,
    plan: undefined,
    inform: () => {},
  }
  void handle(call).then((reply) => {
    reply.flow({
      data: () => {
        facts.firstByteMs ||= now()
        return true
      },
      end: () => {
        finish(life, undefined)
        over(call, reply.status)
      },
      fail: (reason) => {
        facts.error ??= reason.kind
        finish(life, reason)
        over(call, reply.status)
      },
    })
  })
}

const trace = traceFrom('')
const headers = ['content-type', 'application/json', 'accept', '*/*']
const wishes = { contentType: 'application/json', key: undefined, timeoutMs: 0, readTimeoutMs: 0, retries: 0, upstream: '', model: '' }

function uploadOf(body: Buffer): Upload {
  let untouched = true
  return {
    length: body.length,
    untouched: () => untouched,
    flow: (sink) => {
      untouched = false
      sink.data(body)
      sink.end()
      return { pause: () => {}, resume: () => {}, close: () => {} }
    },
  }
}
