import { portOf, UsageError, type Values } from '../commandOptions.ts'
import { durationPattern, parseDuration } from '../config/units.ts'
import type { Level } from '../observe/log.ts'

interface Declared {
  readonly value: string
  readonly help: string
}

/** Every option of the command, with what its help says. */
export const injectorOptions = {
  image: { value: 'IMAGE', help: 'the image of the sidecar; needed' },
  'image-pull-policy': { value: 'POLICY', help: 'Always, IfNotPresent or Never; IfNotPresent unless given' },
  'image-pull-secrets': { value: 'A,B', help: "Secrets of the pod's namespace that the image is pulled with" },
  'run-as-user': { value: 'ID', help: "user of the sidecar, or none where the platform chooses; the image's own unless given" },
  kubeconfig: { value: 'FILE', help: "how to reach the cluster from outside; the pod's ServiceAccount unless given" },
  namespace: { value: 'NAME', help: 'where the injector is installed; that of the credentials unless given' },
  webhook: { value: 'NAME', help: 'our MutatingWebhookConfiguration; outrider-injector unless given' },
  service: { value: 'NAME', help: 'the Service by which API servers find us; outrider-injector unless given' },
  hosts: { value: 'A,B', help: 'more names or addresses that the certificate is for' },
  certificate: { value: 'MODE', help: 'auto (made and renewed by the injector) or files; auto unless given' },
  secret: { value: 'NAME', help: 'auto: the Secret with the authorities; outrider-injector-ca unless given' },
  'authority-life': { value: 'TIME', help: 'auto: how long an authority is valid, renewed at two thirds; 8760h unless given' },
  'leaf-life': { value: 'TIME', help: 'auto: the same of the certificate; 168h unless given' },
  overlap: { value: 'TIME', help: 'auto: how long all must trust an authority before it signs; 60s unless given' },
  cert: { value: 'FILE', help: 'files: the certificate chain' },
  key: { value: 'FILE', help: 'files: its private key' },
  ca: { value: 'FILE', help: 'files: what to write as caBundle; where not given, somebody else writes it' },
  host: { value: 'ADDRESS', help: 'where to listen; all addresses unless given' },
  port: { value: 'PORT', help: 'for the API servers; 8443 unless given' },
  'admin-port': { value: 'PORT', help: 'for probes and metrics; 9090 unless given' },
  drain: { value: 'TIME', help: 'how long to go on answering after the order to stop; 5s unless given' },
  'log-level': { value: 'LEVEL', help: 'the least severe lines to write; info unless given' },
} as const satisfies Readonly<Record<string, Declared>>

type Name = keyof typeof injectorOptions
type Written = Values<Readonly<Record<Name, 'string'>>>

export const injectorKinds = Object.fromEntries(Object.keys(injectorOptions).map((name) => [name, 'string'])) as Readonly<
  Record<Name, 'string'>
>

export const injectorHelp = Object.entries(injectorOptions)
  .map(([name, { value, help }]) => `  --${name} ${value}`.padEnd(30) + help)
  .join('\n')

/** What the command line says, understood. */
export interface InjectorPlan {
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  readonly imagePullSecrets: readonly string[]
  readonly runAsUser: number | 'none' | undefined
  readonly kubeconfig: string | undefined
  readonly namespace: string | undefined
  readonly webhook: string
  readonly service: string
  readonly hosts: readonly string[]
  readonly certificate: AutomaticPlan | FilesPlan
  readonly host: string
  readonly port: number
  readonly adminPort: number
  readonly drainMs: number
  readonly logLevel: Level
}

interface AutomaticPlan {
  readonly mode: 'auto'
  readonly secret: string
  readonly lives: { readonly authorityMs: number; readonly leafMs: number; readonly overlapMs: number }
}

interface FilesPlan {
  readonly mode: 'files'
  readonly cert: string
  readonly key: string
  readonly ca: string | undefined
}

const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const
const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

export function injectorPlan(written: Written): InjectorPlan {
  const { image } = written
  if (image === undefined) throw new UsageError('injector needs --image: what to put into the pods.')
  return {
    image,
    imagePullPolicy: oneOf(written, 'image-pull-policy', pullPolicies, 'IfNotPresent'),
    imagePullSecrets: listOf(written['image-pull-secrets']),
    runAsUser: userOf(written['run-as-user']),
    kubeconfig: written.kubeconfig,
    namespace: written.namespace,
    webhook: written.webhook ?? 'outrider-injector',
    service: written.service ?? 'outrider-injector',
    hosts: listOf(written.hosts),
    certificate: certificateOf(written),
    host: written.host ?? '::',
    port: portOf(written.port, 0) ?? 8443,
    adminPort: portOf(written['admin-port'], 0, 'admin-port') ?? 9090,
    drainMs: durationOf(written, 'drain', '5s'),
    logLevel: oneOf(written, 'log-level', levels, 'info'),
  }
}

function certificateOf(written: Written): AutomaticPlan | FilesPlan {
  const { cert, key, ca, secret = 'outrider-injector-ca' } = written
  const mode = oneOf(written, 'certificate', ['auto', 'files'], 'auto')
  const foreign = (mode === 'auto' ? filesOnly : autoOnly).find((name) => written[name] !== undefined)
  if (foreign !== undefined) throw new UsageError(`--${foreign} means nothing with --certificate ${mode}.`)
  if (mode === 'files') {
    if (cert === undefined || key === undefined) throw new UsageError('--certificate files needs --cert and --key.')
    return { mode, cert, key, ca }
  }
  const lives = {
    authorityMs: durationOf(written, 'authority-life', '8760h'),
    leafMs: durationOf(written, 'leaf-life', '168h'),
    overlapMs: durationOf(written, 'overlap', usualOverlap),
  }
  // A third is left when the next authority is made; the overlap, and the word of it, must fit in.
  if (lives.authorityMs < lives.overlapMs * 6)
    throw new UsageError(`--authority-life must be at least six times --overlap, which is ${written.overlap ?? usualOverlap}.`)
  return { mode, secret, lives }
}

const usualOverlap = '60s'
const filesOnly = ['cert', 'key', 'ca'] as const
const autoOnly = ['secret', 'authority-life', 'leaf-life', 'overlap'] as const

const listOf = (text = ''): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')

function oneOf<const Value extends string>(written: Written, name: Name, values: readonly Value[], otherwise: Value): Value {
  const text = written[name] ?? otherwise
  const found = values.find((value) => value === text)
  if (found === undefined) throw new UsageError(`--${name} must be one of ${values.join(', ')}, not "${text}".`)
  return found
}

function durationOf(written: Written, name: Name, otherwise: string): number {
  const text = written[name] ?? otherwise
  if (!durationPattern.test(text)) throw new UsageError(`--${name} must be a duration such as 500ms, 60s, 5m or 24h, not "${text}".`)
  return parseDuration(text)
}

function userOf(text: string | undefined): number | 'none' | undefined {
  if (text === undefined || text === 'none') return text
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new UsageError(`--run-as-user must be the number of a user other than root, or none, not "${text}".`)
  return Number(text)
}
