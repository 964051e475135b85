import type { Config } from '../config/config.ts'
import type { Facts } from '../proxy/facts.ts'

/** What a call cost in dollars, where its model has a price and its answer told both its tokens; undefined where no model has one. */
export function costs(models: Config['models']): ((facts: Facts) => number | undefined) | undefined {
  const prices = new Map(models?.map(({ name, price }) => [name, price] as const).filter(([, price]) => price !== undefined))
  if (prices.size === 0) return undefined
  return ({ model, usage }) => {
    if (usage === undefined || usage.input < 0 || usage.output < 0) return undefined
    const price = prices.get(model) ?? prices.get(usage.model)
    if (price === undefined) return undefined
    const cached = Math.min(usage.input, Math.max(0, usage.cached))
    const microdollars = (usage.input - cached) * price.input + cached * (price.cached ?? price.input) + usage.output * price.output
    // A sum of fractions ends in digits that mean nothing.
    return Math.round(microdollars * 1_000) / 1e9
  }
}
