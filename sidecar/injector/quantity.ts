import * as v from 'valibot'

const form = /^(\d{1,15}(?:\.\d{1,9})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/
const factors: Readonly<Record<string, number>> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

/** Cores or bytes of a text that one of the schemas below has taken. */
export function amountOf(quantity: string): number {
  const [, number = 'NaN', unit = ''] = form.exec(quantity) ?? []
  return Number(number) * (factors[unit] ?? Number.NaN)
}

// Below this not even the runtime starts, and the pod would show it as an endless OOMKilled.
const leastMemory = '48Mi'

const aCpu = 'must be an amount of CPU, such as 10m, 250m or 1'
/** A text, as Kubernetes takes it, and 1 as well as "1". */
export const cpu = v.pipe(
  v.union([v.string(), v.pipe(v.number(), v.transform(String))], aCpu),
  v.regex(/^\d{1,6}(?:m|\.\d{1,3})?$/, aCpu),
  v.check((text) => amountOf(text) > 0, aCpu),
)

const aMemory = 'must be an amount of memory, such as 64Mi, 160Mi or 1Gi'
export const memory = v.pipe(
  v.string(aMemory),
  v.regex(/^\d{1,12}(?:k|M|G|Ki|Mi|Gi)$/, aMemory),
  v.check((text) => amountOf(text) >= amountOf(leastMemory), `is less than ${leastMemory}, and a sidecar does not start with that`),
)
