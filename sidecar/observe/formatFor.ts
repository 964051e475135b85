import type { Format } from './tallies.ts'

/** The format that a scraper's `Accept` likes best: Prometheus asks for several, with the one of its config in front. */
export function formatFor(accept: string): Format {
  const open = liking(accept, /^application\/openmetrics-text$/i)
  return open > 0 && open >= liking(accept, /^(?:text\/(?:plain|\*)|\*\/\*)$/i) ? 'openmetrics' : 'prometheus'
}

/** From 0 to 1. */
function liking(accept: string, type: RegExp): number {
  const likings = accept.split(',').map((range) => {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim())
    if (!type.test(name)) return 0
    const written = parameters.find((parameter) => /^q=/i.test(parameter))
    return written === undefined ? 1 : Number(written.slice(2)) || 0
  })
  return Math.max(...likings)
}
