import timers from 'node:timers/promises'

const pauseMs = 50

/** Waits for something of the machine that tells nobody when it happens, such as a process that is gone. Gives up with `what`. */
export async function until<Found>(what: string, look: () => Found | Promise<Found>, boundMs: number): Promise<NonNullable<Found>> {
  const end = performance.now() + boundMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== null && found !== false) return found
    if (performance.now() > end) throw new Error(`${what}: not within ${boundMs / 1_000} s`)
    await timers.setTimeout(pauseMs)
  }
}
