import { rmSync } from 'node:fs'
import { removeCgroups } from './cgroups.ts'
import type { Place } from './place.ts'
import { isAlive, kill } from './process.ts'
import { lastState } from './state.ts'
import { until } from './until.ts'

const endingMs = 20_000

/**
 * Ends a cluster. With the first process of its first node everything else of it ends: processes, the other nodes, mounts, interfaces. What is
 * left are the cgroups, and the files.
 */
export async function down(place: Place): Promise<void> {
  for (const process_ of lastState(place)?.nodes ?? []) {
    kill(process_)
    await until(`process ${process_.pid} has ended`, () => !isAlive(process_), endingMs)
  }
  await removeCgroups(place)
  rmSync(place.folder, { recursive: true, force: true, maxRetries: 10 })
}
