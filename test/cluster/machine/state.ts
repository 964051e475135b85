import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, type Process } from './process.ts'
import type { Place } from './place.ts'

/** What is known of a cluster that has been started. */
export type State = {
  readonly kubernetes: string
  readonly programs: string
  /** The first process of each node, in the order of the nodes. */
  readonly nodes: readonly [Process, ...Process[]]
}

const fileOf = (place: Place): string => join(place.folder, 'state.json')

export function writeState(place: Place, state: State): void {
  const file = fileOf(place)
  writeFileSync(`${file}.new`, JSON.stringify(state, null, 2))
  renameSync(`${file}.new`, file)
}

/** The state of the cluster that was last started here, whether it still runs or not. */
export function lastState(place: Place): State | undefined {
  const file = fileOf(place)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as State) : undefined
}

/** The state of a cluster that runs. */
export function stateOf(place: Place): State {
  const state = lastState(place)
  if (state === undefined || !isAlive(state.nodes[0])) throw new Error('No cluster is running. Start one: npm run cluster up')
  return state
}
