import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { join } from 'node:path'
import { entering } from '../machine/node.ts'
import { placeOf } from '../machine/place.ts'
import { run } from '../machine/run.ts'
import { type State, stateOf } from '../machine/state.ts'
import { kubectlEnv } from '../machine/kubectl.ts'
import { type Api, apiOf } from './api.ts'
import { saveArtifacts } from './artifacts.ts'
import { type Kubectl, type Namespace, namespaceOf } from './namespace.ts'

export type Cluster = {
  readonly api: Api
  readonly state: State
  readonly kubectl: Kubectl
  /** Waits until a URL answers on every node. */
  readonly reachable: (url: string) => Promise<void>
  /** A namespace of its own for one test, gone after it; if the test fails, what is known of it is kept. */
  readonly namespace: (t: TestContext, labels?: Readonly<Record<string, string>>) => Promise<Namespace>
}

// Every pod has to follow it, whatever it is for: a sidecar has to fit into namespaces like these.
const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' }

const reachableMs = 30_000

// Ended by the bound of whoever runs it.
const untilAnswered = `
const ask = () => fetch(process.argv[1], { signal: AbortSignal.timeout(1_000) }).then((res) => res.text(), () => setTimeout(ask, 20))
ask()`

/** The cluster that `npm run test:cluster` has started for its tests, whose network they run in. */
export function theCluster(): Cluster {
  const place = placeOf(process.env['CLUSTER'] ?? 'default')
  const state = stateOf(place)
  const api = apiOf(place)
  const kubectl = (args: readonly string[], input?: string) =>
    run(join(state.programs, 'kubectl'), args, { env: kubectlEnv(place), ...(input === undefined ? {} : { input }) })
  const namespace = async (t: TestContext, labels: Readonly<Record<string, string>> = restricted) => {
    const name = `test-${randomBytes(4).toString('hex')}`
    await api.send('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
    const made = namespaceOf(api, kubectl, name)
    t.after(async () => {
      if (!t.passed) await saveArtifacts(t.fullName, made, kubectl)
      // It goes on by itself; nobody needs to wait for it.
      await api.send('DELETE', `/api/v1/namespaces/${name}`)
    })
    // Pods are refused before it is there.
    await made.waitFor('serviceaccounts', 'default', () => true)
    return made
  }
  const reachable = async (url: string): Promise<void> => {
    await Promise.all(
      state.nodes.map((node) =>
        run('nsenter', [...entering(node, 'network'), process.execPath, '-e', untilAnswered, url], { boundMs: reachableMs }),
      ),
    )
  }
  return { api, state, kubectl, reachable, namespace }
}
