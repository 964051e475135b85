import { listOf, nameOf, type Raw } from './raw.ts'

interface Bounds {
  readonly periodSeconds: number
  readonly timeoutSeconds: number
  readonly failureThreshold: number
}

// What is tried once a second holds the app back for a second at most; a minute is for nodes that are busy with a hundred other starts.
const starting: Bounds = { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 60 }
const ready: Bounds = { periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 3 }
// A restart cuts calls: only for a process that has said nothing for a minute.
const living: Bounds = { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }

/** What the kubelet asks the sidecar: about itself alone, never about upstreams, since its readiness counts as the pod's. */
export function probesFor(spec: Raw, port: number): Raw {
  if (isBehindIstio(spec)) return commands(port)
  return {
    startupProbe: asked(port, '/startupz', starting),
    readinessProbe: asked(port, '/readyz', ready),
    livenessProbe: asked(port, '/livez', living),
  }
}

const asked = (port: number, path: string, bounds: Bounds): Raw => ({
  httpGet: { path, port, scheme: 'HTTP' },
  ...bounds,
  successThreshold: 1,
})

/**
 * Where Istio demands mutual TLS, a request of the kubelet does not get through; Istio turns those of an app into ones to itself, but only
 * those that are there when it looks. A command asks from inside. Each starts a process: so none for readiness, and one a minute for life.
 */
function commands(port: number): Raw {
  const run = (bounds: Bounds, ...more: readonly string[]): Raw => ({
    exec: { command: ['outrider', 'health', '--port', String(port), ...more] },
    ...bounds,
    successThreshold: 1,
  })
  return {
    startupProbe: run({ ...starting, timeoutSeconds: 5 }),
    livenessProbe: run({ periodSeconds: 60, timeoutSeconds: 10, failureThreshold: 2 }, '--live'),
  }
}

function isBehindIstio(spec: Raw): boolean {
  return [...listOf(spec['containers']), ...listOf(spec['initContainers'])].some((one) => nameOf(one) === 'istio-proxy')
}
