import { isCalm, seconds, type Faults } from './faults.ts'

/** How calls were shared out among the upstreams that were well and had been for a while. */
export interface Shares {
  /** Of what would be even, over a minute: the least and the most that one of them had. */
  readonly least: number
  readonly most: number
  /** Minutes that were looked at. */
  readonly minutes: number
  /**
   * How much what one has more than its share now has it to expect less a little later: near to 0 where they are shared out by chance, near
   * to -1 where calls run from one to another and back.
   */
  readonly swing: number
}

const slotMs = 10 * seconds
const slotsPerMinute = 6
/** A slow start is over by then, and what was learnt from a fault forgotten. */
const calmMs = 90 * seconds
/** Looked for over a minute: nothing that is remembered lasts longer. */
const lags = [1, 2, 3, 4, 5, 6]

/** Counts the first attempts of calls by upstream and time. */
export function shares(upstreams: Readonly<Record<string, Faults>>) {
  const names = Object.keys(upstreams)
  const counts = new Map<string, number[]>(names.map((name) => [name, []]))
  const countOf = (name: string, slot: number): number => counts.get(name)?.[slot] ?? 0

  const read = (): Shares => {
    const slots = Math.max(...[...counts.values()].map(({ length }) => length)) - 1
    const calm = (name: string, slot: number, back: number): boolean => {
      const faults = upstreams[name]
      return faults !== undefined && isCalm(faults, (slot + 1) * slotMs, calmMs + back * slotMs)
    }
    let least = Infinity
    let most = 0
    let minutes = 0
    for (let end = slotsPerMinute; end <= slots; end += slotsPerMinute) {
      const well = names.filter((name) => calm(name, end - 1, slotsPerMinute))
      if (well.length < 2) continue
      const sums = well.map((name) => sumOf(slotsPerMinute, (n) => countOf(name, end - 1 - n)))
      const even = sums.reduce((one, other) => one + other, 0) / well.length
      least = Math.min(least, ...sums.map((sum) => sum / even))
      most = Math.max(most, ...sums.map((sum) => sum / even))
      minutes++
    }
    const beyondOf = (slot: number): number[] | undefined => {
      if (!names.every((name) => calm(name, slot, 1))) return undefined
      const even = names.reduce((sum, name) => sum + countOf(name, slot), 0) / names.length
      return names.map((name) => countOf(name, slot) - even)
    }
    const beyond = Array.from({ length: slots }, (_none, slot) => beyondOf(slot))
    return { least, most, minutes, swing: Math.min(...lags.map((lag) => correlation(beyond, lag))) }
  }

  return {
    count: (name: string, now: number): void => {
      const list = counts.get(name)
      const slot = Math.floor(now / slotMs)
      if (list === undefined) return
      while (list.length <= slot) list.push(0)
      list[slot] = (list[slot] ?? 0) + 1
    },
    read,
  }
}

const sumOf = (terms: number, term: (n: number) => number): number => {
  let sum = 0
  for (let n = 0; n < terms; n++) sum += term(n)
  return sum
}

function correlation(list: readonly (readonly number[] | undefined)[], lag: number): number {
  let product = 0
  let square = 0
  for (let at = lag; at < list.length; at++) {
    const now = list[at]
    const before = list[at - lag]
    if (now === undefined || before === undefined) continue
    for (const [n, value] of now.entries()) {
      product += value * (before[n] ?? 0)
      square += (value * value + (before[n] ?? 0) ** 2) / 2
    }
  }
  return square === 0 ? 0 : product / square
}
