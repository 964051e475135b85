import { once } from 'node:events'
import { request } from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { TestContext } from 'node:test'
import Registry from 'prom-client/lib/registry.js'
import type { Raw } from '../../sidecar/injector/raw.ts'
import { openInjection, type Injection, type InjectionOptions } from '../../sidecar/injector/serve.ts'
import type { Happening, InjectorSettings } from '../../sidecar/injector/settings.ts'
import { testCertificates } from '../fixtures/providerTls.ts'
import { profilesOf, settingsWith } from './injection.ts'

export interface Sending {
  readonly path?: string
  readonly method?: string
  readonly ca?: string
  readonly headers?: Readonly<Record<string, string | number>>
}

export interface Answer {
  readonly status: number
  readonly text: string
  readonly json: () => Raw
}

export interface Served extends Injection {
  readonly registry: Registry
  readonly noted: readonly Happening[]
  /** Every log line, as JSON. */
  readonly logged: readonly string[]
  /** A request as far as its header; what is sent of its body is the test's. */
  readonly begin: (options?: Sending) => ClientRequest
  readonly post: (body: string, options?: Sending) => Promise<Answer>
}

/** The webhook on a free port of the loopback, with a certificate that its clients check. */
export async function served(t: TestContext, over: Partial<InjectorSettings> = {}, more: Partial<InjectionOptions> = {}): Promise<Served> {
  const { server, ca } = testCertificates()
  const registry = new Registry()
  const noted: Happening[] = []
  const logged: string[] = []
  const write = (fields: object, message: string): void => void logged.push(JSON.stringify({ ...fields, message }))
  const injection = await openInjection({
    settings: settingsWith(await profilesOf(), over),
    certificate: server,
    host: '127.0.0.1',
    port: 0,
    registry,
    note: (happening) => noted.push(happening),
    log: { info: write, warn: write, error: write },
    ...more,
  })
  t.after(injection.close)
  const begin = (options: Sending = {}): ClientRequest =>
    request({
      host: '127.0.0.1',
      port: injection.port,
      path: '/inject',
      method: 'POST',
      ca: ca.cert,
      agent: false,
      ...options,
      headers: { 'content-type': 'application/json', ...options.headers },
    })
  const post = async (body: string, options: Sending = {}): Promise<Answer> => {
    const req = begin(options)
    req.end(body)
    return answered(req)
  }
  return { ...injection, registry, noted, logged, begin, post }
}

/** The whole answer to a request. */
export async function answered(req: ClientRequest): Promise<Answer> {
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of res.setEncoding('utf8') as AsyncIterable<string>) text += chunk
  return { status: res.statusCode ?? 0, text, json: () => JSON.parse(text) as Raw }
}

export interface Asked {
  readonly pod?: Raw
  readonly namespace?: string
  readonly dryRun?: boolean
}

/** An AdmissionReview as the API server sends it. */
export function review({ pod = podWith(), namespace = 'team-a', dryRun = false }: Asked = {}): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace,
      operation: 'CREATE',
      userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
      object: pod,
      oldObject: null,
      dryRun,
      options: { apiVersion: 'meta.k8s.io/v1', kind: 'CreateOptions' },
    },
  })
}

/** A pod of a ReplicaSet with one container. */
export function podWith({ spec = {}, metadata = {} }: { readonly spec?: Raw; readonly metadata?: Raw } = {}): Raw {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: 'chat-',
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'chat', uid: '1', controller: true }],
      ...metadata,
    },
    spec: { containers: [{ name: 'app', image: 'busybox' }], ...spec },
  }
}
