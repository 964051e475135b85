import { isMapping } from '../../config/mapping.ts'

const aBody = 'Send {"weights": {"stable": 90, "canary": 10}}: of a hundred calls, how many go to each side; stable may be left out'
const longestReason = 200

interface Wrong {
  readonly error: string
}
export type Wanted = { readonly weight: number; readonly why: string } | Wrong
export type WantedWeights = { readonly weights: Readonly<Record<string, number>>; readonly why: string } | Wrong

/** Reads the body of a change of the weight of a canary. Whatever is wrong is told with what would be right. */
export function wantedWeight(text: string): Wanted {
  const read = bodyIn(text)
  return typeof read === 'string' ? wrong(read) : weightIn(read.weights, read.why)
}

/** The same of the weights of upstreams: these ones, as they are now. Those that are left out stay as they are. */
export function wantedWeights(text: string, now: Readonly<Record<string, number>>): WantedWeights {
  const names = Object.keys(now)
  const right = `Send {"weights": {"${names[0] ?? 'name'}": 1}}: whole numbers from 0 to 10000 for upstreams of this route, which are ${names.join(', ')}.`
  const read = bodyIn(text)
  if (typeof read === 'string') return { error: `${read}. ${right}` }
  const weights: Record<string, number> = {}
  for (const [name, weight] of Object.entries(read.weights)) {
    if (!Object.hasOwn(now, name)) return { error: `"weights" has an unknown ${shown(name)}. ${right}` }
    if (!Number.isInteger(weight) || Number(weight) < 0 || Number(weight) > 10_000)
      return { error: `The weight of ${name} is no whole number from 0 to 10000. ${right}` }
    weights[name] = Number(weight)
  }
  if (Object.keys(weights).length === 0) return { error: `"weights" is empty. ${right}` }
  const left = Object.values({ ...now, ...weights }).some((weight) => weight > 0)
  return left ? { weights, why: read.why } : { error: `No upstream of this route would have a weight any more. ${right}` }
}

/** What is asked for, and why; or what is wrong with it. */
function bodyIn(text: string): { readonly weights: Readonly<Record<string, unknown>>; readonly why: string } | string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return 'The body is no JSON'
  }
  if (!isMapping(body) || !isMapping(body['weights'])) return 'The body has no "weights"'
  const { weights, reason, ...rest } = body
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) return `The body has an unknown ${shown(unknown)}`
  if (reason !== undefined && (typeof reason !== 'string' || !/^[\x20-\x7e]{1,200}$/.test(reason))) {
    return `"reason" is no text of plain ASCII with at most ${longestReason} characters`
  }
  return { weights: weights as Record<string, unknown>, why: reason === undefined ? 'set at run time' : `set at run time: ${reason}` }
}

function weightIn({ canary, stable, ...rest }: Readonly<Record<string, unknown>>, why: string): Wanted {
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) return wrong(`"weights" has an unknown ${shown(unknown)}`)
  if (!isPercentage(canary)) return wrong('"weights.canary" is no number from 0 to 100')
  if (stable === undefined) return { weight: canary, why }
  if (!isPercentage(stable)) return wrong('"weights.stable" is no number from 0 to 100')
  const sum = stable + canary
  return Math.abs(sum - 100) < 1e-6 ? { weight: canary, why } : wrong(`The weights add up to ${Number(sum.toFixed(6))}, not to 100`)
}

const isPercentage = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 100
const wrong = (what: string): Wrong => ({ error: `${what}. ${aBody}.` })
const shown = (key: string): string => (/^[\w.-]{1,40}$/.test(key) ? `"${key}"` : 'key')
