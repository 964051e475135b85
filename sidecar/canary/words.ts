import type { SeenCanary } from './seen.ts'

/** How a route with a canary stands, for people. */
export function statusLines(name: string, canary: SeenCanary): string {
  const { state, weights, version, configured_weight: configured, why, since, in_window: rates, rule } = canary
  const what = [canary.model === null ? '' : `model ${canary.model}`, canary.upstreams === null ? '' : `at ${canary.upstreams.join(', ')}`]
  const minutes = Number((rule.window_seconds / 60).toFixed(1))
  return `route ${name}: ${stateWords[state]}, ${weights.canary} of a hundred calls go to the canary (${what.filter(Boolean).join(' ')})
  since   ${since}: ${why} (version ${version}, configured ${configured})
  canary  ${fare(rates.canary)} within ${minutes} min
  stable  ${fare(rates.stable)}
`
}

const stateWords = { running: 'running', rolled_back: 'rolled back', promoted: 'promoted' } as const

/** The same in one line. */
export const shortLine = ({ state, weights, in_window: { canary, stable } }: SeenCanary): string =>
  `${stateWords[state]}, weight ${weights.canary}; canary ${fare(canary)}; stable ${fare(stable)}`

function fare({ calls, failed, refused, error_rate: rate }: SeenCanary['in_window']['canary']): string {
  if (calls === 0) return 'no calls'
  const no = refused === 0 ? '' : `, ${refused} refused`
  return `${calls} calls, ${failed} failed${no} (${percent(rate ?? 0)})`
}

export const percent = (share: number): string => `${Number((share * 100).toFixed(1))} %`
