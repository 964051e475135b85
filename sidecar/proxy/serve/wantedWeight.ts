import { isMapping } from '../../config/mapping.ts'

const aBody = 'Send {"weights": {"stable": 90, "canary": 10}}: of a hundred calls, how many go to each side; stable may be left out'
const longestReason = 200

export type Wanted = { readonly weight: number; readonly why: string } | { readonly error: string }

/** Reads the body of a change of weights. Whatever is wrong is told with what would be right. */
export function wantedWeight(text: string): Wanted {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return wrong('The body is no JSON')
  }
  if (!isMapping(body) || !isMapping(body['weights'])) return wrong('The body has no "weights"')
  const { weights, reason, ...rest } = body
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) return wrong(`The body has an unknown ${shown(unknown)}`)
  if (reason !== undefined && (typeof reason !== 'string' || !/^[\x20-\x7e]{1,200}$/.test(reason))) {
    return wrong(`"reason" is no text of plain ASCII with at most ${longestReason} characters`)
  }
  const why = reason === undefined ? 'set at run time' : `set at run time: ${reason}`
  return weightIn(weights as Record<string, unknown>, why)
}

function weightIn({ canary, stable, ...rest }: Record<string, unknown>, why: string): Wanted {
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) return wrong(`"weights" has an unknown ${shown(unknown)}`)
  if (!isPercentage(canary)) return wrong('"weights.canary" is no number from 0 to 100')
  if (stable === undefined) return { weight: canary, why }
  if (!isPercentage(stable)) return wrong('"weights.stable" is no number from 0 to 100')
  const sum = stable + canary
  return Math.abs(sum - 100) < 1e-6 ? { weight: canary, why } : wrong(`The weights add up to ${Number(sum.toFixed(6))}, not to 100`)
}

const isPercentage = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 100
const wrong = (what: string): Wanted => ({ error: `${what}. ${aBody}.` })
const shown = (key: string): string => (/^[\w.-]{1,40}$/.test(key) ? `"${key}"` : 'key')
