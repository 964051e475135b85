import type { HealthNumbers } from './numbers.ts'

/** What active checks say. It takes a few to change it, either way. */
export interface Checks {
  readonly down: () => boolean
  readonly checked: (well: boolean) => void
  readonly reset: () => void
}

export function checks({ checksDown, checksUp }: HealthNumbers): Checks {
  let down = false
  /** In a row, that say the other thing. */
  let against = 0
  return {
    down: () => down,
    checked: (well) => {
      against = well === down ? against + 1 : 0
      if (against < (down ? checksUp : checksDown)) return
      down = !down
      against = 0
    },
    reset: () => {
      down = false
      against = 0
    },
  }
}
