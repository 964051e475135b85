/** An upstream's hours of weakness. Times are of the simulated world, in ms. */
export interface Faults {
  /** The share of calls that fail by chance. */
  readonly failureRate: (now: number) => number
  /** How long a good answer takes. */
  readonly latencyMs: (now: number, random: () => number) => number
  readonly limits: readonly Limit[]
  readonly down: readonly Down[]
}

/** Takes no calls for a while, again and again. */
export interface Limit {
  readonly firstMs: number
  readonly everyMs: number
  readonly lastsMs: number
  /** The upstream says how long: every time, every second time, or never. */
  readonly hint: 'always' | 'half' | 'never'
}

export interface Down {
  readonly fromMs: number
  readonly toMs: number
  /** Nobody listens, and what was under way is lost; somebody answers that it is too busy; or nobody answers at all. */
  readonly how: 'refused' | 'busy' | 'unreachable'
}

export const noFaults: Faults = { failureRate: () => 0, latencyMs: () => 0, limits: [], down: [] }

export const seconds = 1_000
export const minutes = 60 * seconds
export const hours = 60 * minutes

export function limitedUntil({ limits }: Faults, now: number): { untilMs: number; hint: boolean } | undefined {
  for (const { firstMs, everyMs, lastsMs, hint } of limits) {
    const round = Math.floor((now - firstMs) / everyMs)
    const untilMs = firstMs + round * everyMs + lastsMs
    if (round < 0 || now >= untilMs) continue
    return { untilMs, hint: hint === 'always' || (hint === 'half' && round % 2 === 0) }
  }
  return undefined
}

export const isDown = ({ down }: Faults, now: number): Down['how'] | undefined =>
  down.find(({ fromMs, toMs }) => now >= fromMs && now < toMs)?.how

/** Whether it is as it should be, and has been for a while. */
export function isCalm(faults: Faults, now: number, whileMs: number): boolean {
  if (faults.down.some(({ fromMs, toMs }) => now >= fromMs && now - whileMs < toMs)) return false
  return faults.limits.every(({ firstMs, everyMs, lastsMs }) => now < firstMs || (now - firstMs) % everyMs >= lastsMs + whileMs)
}

/** Log-normal, by its middle and by what one of a hundred takes. */
export function logNormal(p50Ms: number, p99Ms: number): (random: () => number) => number {
  const sigma = Math.log(p99Ms / p50Ms) / z99
  return (random) => p50Ms * Math.exp(sigma * normal(random))
}

/** 99 % of a normal distribution lie below this many deviations. */
const z99 = 2.3263478740408408

const normal = (random: () => number): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** How long it takes until something comes that comes by chance, so many ms on average. */
export const byChance = (meanMs: number, random: () => number): number => -meanMs * Math.log(1 - random())
