import type { Api, Resource } from './api.ts'
import { pathOf } from './kinds.ts'

export type Kubectl = (args: readonly string[], input?: string) => Promise<string>

export type Namespace = {
  readonly name: string
  readonly apply: (...objects: readonly object[]) => Promise<void>
  /** Waits until one object is as wanted, and gives what `look` makes of it: anything but undefined and false. */
  readonly waitFor: <Found>(
    kind: string,
    name: string,
    look: (object: Resource) => Found | undefined | false,
    boundMs?: number,
  ) => Promise<Found>
  /** The same for all of a kind together. */
  readonly waitForAll: <Found>(
    kind: string,
    look: (objects: readonly Resource[]) => Found | undefined | false,
    boundMs?: number,
  ) => Promise<Found>
  readonly list: (kind: string) => Promise<readonly Resource[]>
  readonly remove: (kind: string, name: string) => Promise<void>
  /** With `follow`, whatever it will have said when it has ended. */
  readonly logs: (pod: string, container: string, follow?: 'follow') => Promise<string>
  /** Waits until a container has said something. */
  readonly waitForLog: (pod: string, container: string, wanted: RegExp, boundMs?: number) => Promise<string>
  readonly exec: (pod: string, container: string, command: readonly string[]) => Promise<string>
  readonly events: () => Promise<readonly string[]>
}

const defaultBoundMs = 60_000

export function namespaceOf(api: Api, kubectl: Kubectl, name: string): Namespace {
  const waitFor: Namespace['waitFor'] = (kind, wanted, look, boundMs = defaultBoundMs) =>
    api.watch(
      pathOf(kind, name),
      { fieldSelector: `metadata.name=${wanted}` },
      { what: `${kind}/${wanted}`, boundMs, look: ([object]) => (object === undefined ? undefined : look(object) || undefined) },
    )
  const waitForAll: Namespace['waitForAll'] = (kind, look, boundMs = defaultBoundMs) =>
    api.watch(pathOf(kind, name), {}, { what: `${kind} in ${name}`, boundMs, look: (all) => look(all) || undefined })
  return {
    name,
    waitForAll,
    apply: async (...objects) => {
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
      await kubectl(['apply', '--server-side', '--force-conflicts', '-n', name, '-f', '-'], list)
    },
    waitFor,
    list: (kind) => api.list(pathOf(kind, name)),
    remove: async (kind, wanted) => {
      await api.send('DELETE', `${pathOf(kind, name)}/${wanted}`)
    },
    logs: (podName, container, follow) =>
      kubectl(['logs', '-n', name, podName, '-c', container, ...(follow === undefined ? [] : ['--follow'])]),
    waitForLog: async (podName, container, wanted, boundMs = defaultBoundMs) => {
      // Before its start there is no log, and to ask for one is an error.
      await waitFor('pods', podName, ({ status }) => hasStarted(status, container), boundMs)
      const what = `${podName} says ${wanted}`
      return api.lines(`${pathOf('pods', name)}/${podName}/log?container=${container}&follow=true`, { what, boundMs, wanted })
    },
    exec: (podName, container, command) => kubectl(['exec', '-n', name, podName, '-c', container, '--', ...command]),
    events: async () => {
      const events = await api.list(pathOf('events', name))
      return events.map(({ involvedObject, reason, message }) => `${involvedObject.kind}/${involvedObject.name} ${reason}: ${message}`)
    },
  }
}

type Started = { readonly name: string; readonly state: { readonly waiting?: object } }

function hasStarted(status: Resource[string], container: string): boolean {
  const all: readonly Started[] = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  return all.some(({ name, state }) => name === container && state.waiting === undefined)
}
