import type { MemoryBound } from '../config/kinds.ts'

/** What a share is a share of where no container sets a limit: a sidecar is not meant to fill a machine. */
const unlimited = 2 ** 30

/** How many bytes all calls together may hold. `constrained` is the limit of the cgroup, as Node tells it. */
export function memoryLimit(bound: MemoryBound, constrained: number): number {
  if ('bytes' in bound) return bound.bytes
  // Without a limit the figure is absent, or larger than any machine.
  const available = constrained > 0 && constrained < 2 ** 50 ? constrained : unlimited
  return Math.floor(available * bound.share)
}
