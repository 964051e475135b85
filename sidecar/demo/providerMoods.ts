import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { frame, generate, head, send, type Answer, type Pace } from './providerAnswer.ts'
import { problems, refusal, type Dialect } from './providerErrors.ts'

/** One answer that is about to go wrong. */
export interface Scene {
  readonly res: ServerResponse
  readonly dialect: Dialect
  readonly requestId: string
  /** What a model in a good mood would say. */
  readonly answer: Answer
  readonly pace: Pace
  /** Says that this side ends the exchange. */
  readonly leave: () => void
}

export interface Mood {
  /** For the banner. */
  readonly does: string
  /** Another provider with this model is in a good mood. */
  readonly here?: true
  readonly play: (scene: Scene) => Promise<void>
}

const refuses = (does: string, problem: Parameters<typeof refusal>[1], headers: Readonly<Record<string, string>> = {}): Mood => ({
  does,
  play: async ({ res, dialect, requestId, pace }) => {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    await send(refusal(dialect, problem, requestId), res, pace)
  },
})

const page = '<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n'

/** Models that misbehave, each in the one way that its name says. */
export const moods: Readonly<Record<string, Mood>> = {
  'demo-failover': { ...refuses('fails with 500 at north, and south answers', problems.failed), here: true },
  'demo-slow': {
    does: 'thinks for 2 s, then writes slowly',
    play: ({ res, answer }) => send(answer, res, { firstTokenMs: 2_000, tokenMs: 150 }),
  },
  'demo-silent': {
    does: 'never answers',
    play: async ({ res }) => {
      await left(res)
    },
  },
  'demo-stall': {
    does: 'falls silent in the middle of its answer',
    play: async ({ res, answer, pace }) => {
      await half(answer, res, pace)
      await left(res)
    },
  },
  'demo-cut': {
    does: 'hangs up in the middle of its answer',
    play: async ({ res, answer, pace, leave }) => {
      await half(answer, res, pace)
      leave()
      res.socket?.resetAndDestroy()
    },
  },
  'demo-garbage': {
    does: 'sends what is no HTTP',
    play: ({ res, leave }) => {
      leave()
      res.socket?.end('one moment please, the model is at lunch\r\n\r\n')
      return Promise.resolve()
    },
  },
  'demo-html': {
    does: 'has a gateway in front that answers 502 with a web page',
    play: async ({ res }) => {
      res.writeHead(502, { 'content-type': 'text/html', 'content-length': page.length }).end(page)
      await Promise.resolve()
    },
  },
  'demo-429': refuses('has too many requests: 429, again in 2 s', problems.tooMany, { 'retry-after': '2' }),
  'demo-quota': refuses('has no money left: 429, for good', problems.noQuota),
  'demo-500': refuses('fails with 500', problems.failed),
  'demo-503': refuses('is overloaded: 503, again in 1 s', problems.overloaded, { 'retry-after': '1' }),
}

/** The mood of the model that a request names, if it has one and may be asked for. */
export function moodOf(body: Buffer, models: readonly string[], isOther = false): Mood | undefined {
  // Only such a request is read twice.
  if (!body.includes('"demo-')) return undefined
  try {
    const { model } = JSON.parse(body.toString()) as { model?: unknown }
    const mood = typeof model === 'string' && models.includes(model) && Object.hasOwn(moods, model) ? moods[model] : undefined
    return isOther && mood?.here === true ? undefined : mood
  } catch {
    return undefined
  }
}

/** The first half of an answer, as if the rest were to follow. */
async function half(answer: Answer, res: ServerResponse, pace: Pace): Promise<void> {
  if (answer.kind === 'stream') {
    const events = answer.events.slice(0, Math.ceil(answer.events.length / 2))
    head(res)
    for (const event of events) {
      if (event.token) await generate(1, res, { firstTokenMs: 0, tokenMs: pace.tokenMs })
      if (res.destroyed) return
      res.write(frame(event))
    }
  } else {
    const body = answer.kind === 'json' ? Buffer.from(JSON.stringify(answer.body)) : answer.body
    await generate(1, res, pace)
    if (res.destroyed) return
    res.writeHead(200, { 'content-type': answer.kind === 'json' ? 'application/json' : answer.type, 'content-length': body.length })
    res.write(body.subarray(0, body.length / 2))
  }
  // What is on its way must get there before the connection breaks.
  await new Promise((gone) => setTimeout(gone, 50))
}

async function left(res: ServerResponse): Promise<void> {
  if (!res.destroyed) await once(res, 'close')
}
