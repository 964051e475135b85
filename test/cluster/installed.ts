// The chart on an API server without nodes: what it renders is applied, and injectors run beside it as the ServiceAccount that it makes.
import { once } from 'node:events'
import { createServer, connect, type AddressInfo } from 'node:net'
import { parseAllDocuments } from 'yaml'
import { program, type Program } from '../fixtures/runOutrider.ts'
import type { Owner } from '../fixtures/providerExchange.ts'
import type { ApiServer, Json } from './apiServer.ts'
import { tool } from './machine/programs.ts'
import { run } from './machine/run.ts'
import { until } from './machine/until.ts'

export const releaseNamespace = 'outrider-system'
export const webhookPath = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/outrider-injector'
export const secretPath = `/api/v1/namespaces/${releaseNamespace}/secrets/outrider-injector-ca`

export const chart = new URL('../../chart', import.meta.url).pathname
const profile = { config: { upstreams: [{ name: 'fake', url: 'http://127.0.0.1:9/v1' }] } }

export type Rendered = Json & { readonly kind: string; readonly metadata: { readonly name: string; readonly namespace?: string } }

/** What the chart makes of these values. */
export async function rendered(values: object = {}, which: 'helm3' | 'helm4' = 'helm3'): Promise<Rendered[]> {
  const args = ['template', 'outrider', chart, '--kube-version', '1.37.1', '-n', releaseNamespace, '--values', '-']
  const text = await run(await tool(which), args, { input: JSON.stringify(values) })
  return parseAllDocuments(text).flatMap((document) => {
    const object = document.toJS() as Rendered | null
    return object === null ? [] : [object]
  })
}

export type Replica = Program & {
  readonly adminUrl: string
  readonly port: () => number
  readonly ready: () => Promise<string>
  readonly metric: (name: RegExp) => Promise<number>
}

export type Installed = {
  /** Starts an injector; resolves when it listens. */
  readonly replica: (t: Owner, ...more: readonly string[]) => Promise<Replica>
  /** The connections of the API server go to these, in turn, as those of a Service do. */
  readonly serve: (...replicas: readonly Replica[]) => void
  readonly webhook: () => Promise<{ readonly name: string; readonly caBundle: string }[]>
  readonly createPod: (name: string, over?: { namespace?: string; labels?: object; annotations?: object; spec?: object }) => Promise<Json>
}

const collections: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/NS/serviceaccounts',
  ConfigMap: '/api/v1/namespaces/NS/configmaps',
  Role: '/apis/rbac.authorization.k8s.io/v1/namespaces/NS/roles',
  RoleBinding: '/apis/rbac.authorization.k8s.io/v1/namespaces/NS/rolebindings',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  MutatingWebhookConfiguration: '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
}

/** Installs the chart anew, in place of whatever a test before has left. */
export async function install(t: Owner, api: ApiServer, values: object = {}): Promise<Installed> {
  const objects = await rendered({ profiles: { default: profile }, ...values })
  const front = await balancer(t)
  await namespace(api, releaseNamespace)
  await namespace(api, 'apps', { 'outrider.dev/inject': 'enabled' })
  await api.ask('DELETE', secretPath)
  for (const object of objects) {
    const collection = collections[object.kind]?.replace('NS', releaseNamespace)
    if (collection === undefined) continue
    await api.ask('DELETE', `${collection}/${object.metadata.name}`)
    await api.must('POST', collection, object.kind === 'MutatingWebhookConfiguration' ? byUrl(object, front.port) : object)
  }
  const kubeconfig = await api.kubeconfigFor(releaseNamespace, 'outrider-injector')
  return {
    serve: (...replicas) => {
      front.to(replicas.map((one) => one.port))
    },
    replica: async (owner, ...more) => {
      const args = ['injector', '--image=outrider:test', `--kubeconfig=${kubeconfig}`, '--hosts=127.0.0.1', '--port=0', '--admin-port=0']
      const running = program(owner, [...args, '--host=127.0.0.1', '--drain=100ms', ...more])
      const [, adminPort] = await running.printed(/admin port (\d+)/)
      const adminUrl = `http://127.0.0.1:${adminPort}`
      const ready = async (): Promise<string> => (await (await fetch(`${adminUrl}/readyz`)).text()).trim()
      let port = 0
      void running
        .printed(/listening on port (\d+)/)
        .then(([, found]) => (port = Number(found)))
        .catch(() => {})
      return {
        ...running,
        adminUrl,
        port: () => port,
        ready,
        metric: async (name) =>
          Number((await (await fetch(`${adminUrl}/metrics`)).text()).match(new RegExp(`^${name.source} (\\S+)$`, 'm'))?.[1]),
      }
    },
    webhook: async () => {
      const { webhooks } = (await api.must('GET', webhookPath)) as { webhooks?: { name: string; clientConfig: { caBundle?: string } }[] }
      return (webhooks ?? []).map(({ name, clientConfig: { caBundle = '' } }) => ({
        name,
        caBundle: Buffer.from(caBundle, 'base64').toString(),
      }))
    },
    createPod: (name, { namespace: where = 'apps', labels = {}, annotations = {}, spec = {} } = {}) =>
      api.must('POST', `/api/v1/namespaces/${where}/pods`, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, labels, annotations },
        spec: { containers: [{ name: 'app', image: 'app' }], ...spec },
      }),
  }
}

export const untilReady = (replica: Replica): Promise<boolean> =>
  until('the replica is ready', async () => (await replica.ready()) === 'ok', 20_000)

/** The names of the containers that a created pod has. */
export function containersOf(pod: Json): string[] {
  const { containers, initContainers = [] } = pod['spec'] as Readonly<Record<string, { name: string }[]>>
  return [...initContainers, ...(containers ?? [])].map(({ name }) => name)
}

export async function namespace(api: ApiServer, name: string, labels: object = {}): Promise<void> {
  const { status } = await api.ask('POST', '/api/v1/namespaces', {
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
  })
  if (status !== 201 && status !== 409) throw new Error(`namespace ${name}: ${status}`)
}

/** There is no Service without a node to route to it. */
function byUrl(object: Json, port: number): Json {
  const webhooks = (object['webhooks'] as Json[]).map((one) => ({ ...one, clientConfig: { url: `https://127.0.0.1:${port}/inject` } }))
  return { ...object, webhooks }
}

async function balancer(t: Owner): Promise<{ port: number; to: (ports: readonly (() => number)[]) => void }> {
  let targets: readonly (() => number)[] = []
  let turn = 0
  const open = new Set<{ destroy: () => void }>()
  const server = createServer((from) => {
    const target = targets[turn++ % targets.length]
    if (target === undefined) return from.destroy()
    const to = connect(target(), '127.0.0.1')
    for (const socket of [from, to]) open.add(socket)
    from.on('error', () => to.destroy()).on('close', () => to.destroy())
    to.on('error', () => from.destroy()).on('close', () => from.destroy())
    from.pipe(to).pipe(from)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return {
    port: (server.address() as AddressInfo).port,
    to: (ports) => {
      targets = ports
    },
  }
}
