/** Where our labels and annotations stand. */
export const domain = 'outrider.dev/'

/** Label of namespaces and pods: `enabled` or `disabled`. */
export const injectLabel = `${domain}inject`
/** Label of pods that have a sidecar, to select them by. */
export const injectedLabel = `${domain}injected`
/** Annotation with what was injected: version, profile, hash of it, mode, ports. */
export const statusAnnotation = `${domain}status`
/** Annotation with the config of the sidecar, which it reads as a file. */
export const configAnnotation = `${domain}config`

export const sidecarName = 'outrider'
export const profileVolume = 'outrider-profile'
export const credentialsVolume = 'outrider-credentials'
export const adminPortName = 'outrider-admin'

export const profileFolder = '/etc/outrider/profile'
export const configFile = 'config.json'
export const credentialsFolder = '/etc/outrider/credentials'

/** Those that carry the traffic of the pod: what they start must stand before whatever else calls out. */
const mesh = new Set([
  'istio-init',
  'istio-validation',
  'istio-proxy',
  'enable-core-dump',
  'linkerd-init',
  'linkerd-network-validator',
  'linkerd-proxy',
])
/** Those that other injectors put in, for themselves: they call no model, and their makers compare them with what they made. */
const others = new Set(['vault-agent-init', 'vault-agent', 'daprd', 'otc-container'])

export const isMesh = (name: string): boolean => mesh.has(name)
/** A container that is neither the app's nor ours. */
export const isForeign = (name: string): boolean => mesh.has(name) || others.has(name)
