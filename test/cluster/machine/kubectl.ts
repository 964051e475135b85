import { join } from 'node:path'
import { entering } from './node.ts'
import type { Place } from './place.ts'
import { run } from './run.ts'
import type { State } from './state.ts'

/** kubectl as the cluster's admin, in the cluster's network. */
export function kubectlIn(place: Place, { nodes: [first], programs }: State, args: readonly string[], input?: string): Promise<string> {
  const options = { env: kubectlEnv(place), ...(input === undefined ? {} : { input }) }
  return run('nsenter', [...entering(first, 'network'), join(programs, 'kubectl'), ...args], options)
}

export function kubectlEnv(place: Place): Readonly<Record<string, string>> {
  // What it has learnt of one cluster's API is not to be believed of the next.
  return { KUBECONFIG: place.adminConfig, KUBECACHEDIR: join(place.folder, 'kubectl') }
}
