import type { HealthNumbers } from './numbers.ts'

/** What active checks say. It takes a few to change it, either way. */
export interface Checks {
  readonly down: () => boolean
  /** True where it is back: it goes well, and did not before. */
  readonly checked: (well: boolean) => boolean
  /** It did not go well, but who asks may have asked the wrong thing: takes nothing down. */
  readonly doubted: () => void
  readonly reset: () => void
}

export function checks({ checksDown, checksUp }: HealthNumbers): Checks {
  let down = false
  /** In a row, that say the other thing. */
  let against = 0
  let failing = false
  return {
    down: () => down,
    checked: (well) => {
      against = well === down ? against + 1 : 0
      if (against >= (down ? checksUp : checksDown)) {
        down = !down
        against = 0
      }
      const back = failing && well && !down
      failing = !well || (failing && !back)
      return back
    },
    doubted: () => {
      failing = true
    },
    reset: () => {
      down = failing = false
      against = 0
    },
  }
}
