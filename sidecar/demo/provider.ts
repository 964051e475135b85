import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { send, type Answer, type Pace } from './providerAnswer.ts'
import { problems, refusal, type Dialect } from './providerErrors.ts'
import { moodOf, moods } from './providerMoods.ts'
import { rateLimits, standardHeaders } from './providerHeaders.ts'
import { answerTo } from './providerRoutes.ts'
import { witness, type Seen, type Witness } from './providerSeen.ts'

export type { Seen }

export type ProviderOptions = Partial<Pace> & {
  /** Serves HTTPS. `ca` and `requestCert` may ask for a client certificate. */
  readonly tls?: TlsOptions
  /** The key to show: as a bearer token, or, where the API is Anthropic's, as `x-api-key` too. Unset, any key or none will do. */
  readonly expectKey?: string
  readonly models?: readonly string[]
  /** Not the first of several: what fails at one of them only works here. */
  readonly other?: boolean
  /** Whether `seen` keeps the requests; off where nobody reads them and memory would grow. */
  readonly remember?: boolean
}

export type RunningProvider = {
  /** Origin without a path, e.g. `http://127.0.0.1:40123`: the API is under `/v1`. */
  readonly url: string
  readonly port: number
  readonly seen: readonly Seen[]
  /** How many clients have left before their answer was whole. */
  readonly aborted: number
  readonly close: () => Promise<void>
}

export const demoModels: readonly string[] = [
  'gpt-5-mini',
  'gpt-4o-mini',
  'gpt-3.5-turbo-instruct',
  'claude-sonnet-4-5',
  'text-embedding-3-small',
  'text-embedding-3-large',
  'gpt-4o-mini-tts',
  ...Object.keys(moods),
]

/** Starts a fake LLM provider on a free port of the loopback. It answers as OpenAI and Anthropic do, at once unless a pace is given. */
export async function startProvider(options: ProviderOptions = {}): Promise<RunningProvider> {
  const { tls, remember = true } = options
  const seen: Seen[] = []
  let aborted = 0
  const answer = answering(options)
  const listener: RequestListener = (req, res) => {
    const witnessed = witness(req, res)
    if (remember) seen.push(witnessed.seen)
    void witnessed.seen.closed.then((gone) => {
      if (gone) aborted += 1
    })
    void answer(req, res, witnessed)
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    seen,
    get aborted() {
      return aborted
    },
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** The provider's answers without its listener, for whoever serves them among other things. */
export function answering({ expectKey, models = demoModels, other, firstTokenMs = 0, tokenMs = 0 }: ProviderOptions = {}) {
  const limits = rateLimits()
  return async (req: IncomingMessage, res: ServerResponse, { seen: { whole }, leave }: Witness): Promise<void> => {
    const startedAt = performance.now()
    const path = (req.url ?? '').replace(/\?.*$/, '')
    const dialect = dialectOf(path, req.headers)
    try {
      const body = await whole
      const { id, ...headers } = standardHeaders(dialect, startedAt)
      for (const [name, value] of Object.entries({ ...headers, ...limits(dialect, Math.ceil(body.length / 4)) })) res.setHeader(name, value)
      const problem = headProblem(dialect, req.headers, expectKey)
      const asked = { method: req.method ?? '', path, dialect, body, models, requestId: id }
      const answer = problem === undefined ? answerTo(asked) : refusal(dialect, problem, id)
      const pace = { firstTokenMs, tokenMs }
      const mood = problem === undefined ? moodOf(body, models, other) : undefined
      await (mood === undefined ? send(answer, res, pace) : mood.play({ res, dialect, requestId: id, answer, pace, leave }))
    } catch {
      await fail(res, dialect)
    }
  }
}

/** A request that is none must not end the provider; a client that has left gets nothing. */
async function fail(res: ServerResponse, dialect: Dialect): Promise<void> {
  if (res.destroyed) return
  if (res.headersSent) {
    res.destroy()
    return
  }
  const failed: Answer = refusal(dialect, problems.broken, 'req_failed')
  await send(failed, res, { firstTokenMs: 0, tokenMs: 0 })
}

function dialectOf(path: string, headers: IncomingHttpHeaders): Dialect {
  return path.startsWith('/v1/messages') || headers['anthropic-version'] !== undefined ? 'anthropic' : 'openai'
}

function headProblem(dialect: Dialect, headers: IncomingHttpHeaders, expectKey: string | undefined) {
  const bearer = headers.authorization?.replace(/^Bearer /i, '')
  // Anthropic takes both, and looks at its own header first.
  const key = dialect === 'anthropic' ? (headers['x-api-key'] ?? bearer) : bearer
  if (expectKey !== undefined && (key === undefined || key === '')) return problems.noKey
  if (expectKey !== undefined && key !== expectKey) return problems.wrongKey
  return dialect === 'anthropic' && headers['anthropic-version'] === undefined ? problems.noVersion : undefined
}
