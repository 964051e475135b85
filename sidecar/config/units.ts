const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const
const sizeUnits = { B: 1, KB: 1e3, KiB: 2 ** 10, MB: 1e6, MiB: 2 ** 20, GB: 1e9, GiB: 2 ** 30 } as const

/** What a duration looks like: one whole number, one unit. Two spellings of one wait (1h30m, 90m) would only hide that they are equal. */
export const durationPattern = /^\d{1,12}(?:ms|s|m|h)$/
/** What a size looks like: KB, MB, GB count in thousands, KiB, MiB, GiB in 1024s. */
export const sizePattern = /^\d{1,12}(?:B|KB|KiB|MB|MiB|GB|GiB)$/

/** Milliseconds of a text that matches `durationPattern`. */
export function parseDuration(text: string): number {
  return scale(text, durationUnits)
}

/** Bytes of a text that matches `sizePattern`. */
export function parseSize(text: string): number {
  return scale(text, sizeUnits)
}

/** The shortest duration text that parses to exactly these milliseconds. */
export function formatDuration(milliseconds: number): string {
  return shortest(milliseconds, durationUnits)
}

/** The shortest size text that parses to exactly these bytes. */
export function formatSize(bytes: number): string {
  return shortest(bytes, sizeUnits)
}

function scale(text: string, units: Readonly<Record<string, number>>): number {
  const number = Number.parseInt(text, 10)
  return number * (units[text.replace(/^\d+/, '')] ?? Number.NaN)
}

function shortest(amount: number, units: Readonly<Record<string, number>>): string {
  const texts = Object.entries(units)
    .filter(([, unit]) => amount % unit === 0)
    .map(([name, unit]) => `${amount / unit}${name}`)
  // Units grow, so of equally short texts the last has the smallest number: 0h, 1GiB.
  return texts.reduce((best, text) => (text.length <= best.length ? text : best))
}
