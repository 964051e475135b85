import { localReply, type Call, type Layer } from '../call.ts'

/** What an answer of ours holds. */
export interface Document {
  readonly status: number
  readonly json: unknown
}

/** `GET /health`, beside the paths of the API: who asks for it need not know where they begin. */
export function health(document: () => Document): Layer {
  return (next) => (call) => {
    if (!asksForHealth(call)) return next(call)
    call.facts.operation = 'health'
    return Promise.resolve(replyOf(document()))
  }
}

/** `GET /v1/stats`. */
export function stats(document: () => Document): Layer {
  return (next) => (call) => (call.facts.operation === 'stats' && isReading(call) ? Promise.resolve(replyOf(document())) : next(call))
}

/** The one path beside those of the API, and nothing that is merely like it. */
export const asksForHealth = (call: Call): boolean => call.path === undefined && /^\/health(?:\?|$)/.test(call.target) && isReading(call)

const isReading = ({ method }: Call): boolean => method === 'GET' || method === 'HEAD'

const replyOf = ({ status, json }: Document) =>
  localReply(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }, Buffer.from(`${JSON.stringify(json)}\n`))
