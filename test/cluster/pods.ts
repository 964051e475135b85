import { version } from '../../sidecar/version.ts'
import { appImage } from './app/image.ts'

export const sidecarImage = `localhost/outrider:${version}`

/** What a namespace that is restricted asks of every container. */
const securityContext = {
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
}

export const common = { imagePullPolicy: 'Never', securityContext }

export type Container = Readonly<Record<string, unknown>>

/** Outrider as a sidecar that Kubernetes starts before the app and ends after it. */
export function sidecar(more: Container = {}): Container {
  return {
    name: 'outrider',
    image: sidecarImage,
    ...common,
    args: ['proxy', '--config', '/etc/outrider/outrider.yaml'],
    restartPolicy: 'Always',
    ports: [{ name: 'metrics', containerPort: 9090 }],
    startupProbe: { httpGet: { path: '/startupz', port: 9090 }, periodSeconds: 1, failureThreshold: 30 },
    livenessProbe: { httpGet: { path: '/livez', port: 9090 }, periodSeconds: 5 },
    resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '160Mi' } },
    volumeMounts: [
      { name: 'config', mountPath: '/etc/outrider', readOnly: true },
      { name: 'credentials', mountPath: '/run/secrets/outrider', readOnly: true },
    ],
    ...more,
  }
}

/** A container that has nothing but the address of its localhost and a placeholder. */
export function app(command: readonly string[], more: Container = {}): Container {
  const env = { OPENAI_BASE_URL: 'http://localhost:8080/v1', OPENAI_API_KEY: 'unused' }
  return { name: 'app', image: appImage, ...common, command, env: Object.entries(env).map(([name, value]) => ({ name, value })), ...more }
}

type PodParts = {
  readonly containers: readonly Container[]
  /** After the sidecar. */
  readonly init?: readonly Container[]
  readonly sidecar?: Container
  readonly more?: Readonly<Record<string, unknown>>
}

/** The spec of a pod with the sidecar in it, as a person would write it by hand. */
export function podSpec({ containers, init = [], sidecar: ours = sidecar(), more = {} }: PodParts): object {
  return {
    automountServiceAccountToken: false,
    restartPolicy: 'Always',
    initContainers: [ours, ...init],
    containers,
    volumes: [
      { name: 'config', configMap: { name: 'outrider' } },
      { name: 'credentials', secret: { secretName: 'outrider-credentials' } },
    ],
    ...more,
  }
}

export function pod(name: string, parts: PodParts, metadata: object = {}): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, ...metadata }, spec: podSpec(parts) }
}

/** The Secret and the ConfigMap of the sidecars in a namespace. */
export function settings({
  key = 'sk-first',
  config = outriderYaml(),
}: { readonly key?: string; readonly config?: string } = {}): readonly object[] {
  return [
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'outrider-credentials' }, stringData: { provider: key } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'outrider' }, data: { 'outrider.yaml': config } },
  ]
}

export function outriderYaml(more = ''): string {
  return `upstreams:
  - name: provider
    url: http://provider:8000/v1
    credential: provider
credentials:
  provider: { file: /run/secrets/outrider/provider }
${more}`
}
