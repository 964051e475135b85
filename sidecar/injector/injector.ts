import timers from 'node:timers/promises'
import Registry from 'prom-client/lib/registry.js'
import { openLog } from '../observe/log.ts'
import { openAdmin } from '../proxy/serve/admin.ts'
import { PortTrouble, portTrouble } from '../proxy/serve/portTrouble.ts'
import { automaticCertificate } from './certificate/automatic.ts'
import type { Certificate, CertificateUse } from './certificate/certificate.ts'
import { certificateOfFiles } from './certificate/files.ts'
import type { Pair } from './certificate/issue.ts'
import { openEvents } from './events.ts'
import { injectorMetrics, type InjectorMetrics, type InjectorReadings } from './injectorMetrics.ts'
import type { InjectorPlan } from './injectorOptions.ts'
import { openKube, type Kube } from './kube.ts'
import { openProfiles, type Profiles } from './profiles.ts'
import { openInjection, type Injection } from './serve.ts'
import { openServerVersion } from './serverVersion.ts'
import type { InjectorSettings } from './settings.ts'
import { openWebhook, type Webhook } from './webhook.ts'

export interface Injector {
  readonly adminPort: number
  /** Goes on answering until API servers have heard that we leave, then resolves. */
  readonly drain: () => Promise<void>
}

export interface InjectorStart {
  readonly plan: InjectorPlan
  /** What this replica is called in Events. */
  readonly instance: string
}

/** From here on mode auto means native: kubelets may be three versions older, and have had it since 1.30. */
const firstNativeMinor = 33

/** What is watched, then the certificate, then the listener that shows it; the admin port first, so that probes can tell what is missing. */
export async function startInjector({ plan, instance }: InjectorStart): Promise<Injector> {
  const log = openLog(plan.logLevel)
  const say = (level: 'info' | 'warn' | 'error', message: string): void => {
    log.logger[level](message)
  }
  const registry = new Registry()
  const state: State = { draining: false, injection: undefined, parts: undefined }
  const metrics = injectorMetrics(registry, readingsOf(state))
  const kube = openKube({ kubeconfig: plan.kubeconfig, count: metrics.kubeRequest })
  const namespace = plan.namespace ?? kube.namespace
  if (namespace === undefined) throw new Error('The credentials belong to no namespace: name the one of the injector with --namespace.')

  const admin = await openAdmin({
    host: plan.host,
    port: plan.adminPort,
    metrics: { tell: async () => ({ text: await registry.metrics(), type: registry.contentType }) },
    ready: () => whyNotReady(state) === undefined,
    started: () => state.injection !== undefined,
    whyNot: () => whyNotReady(state) ?? '',
  }).catch(atOption('admin.port', '--admin-port'))
  say('info', `injector of ${namespace}, API server ${kube.server}, admin port ${admin.port}`)

  const events = openEvents({ kube, instance, count: metrics.event, failed: (message) => say('warn', message) })
  const profiles = openProfiles({ kube, namespace, events, say })
  const version = openServerVersion({ kube, say })
  const webhook = openWebhook({
    kube,
    name: plan.webhook,
    now: Date.now,
    changed: () => state.parts?.certificate.look(),
    troubled: (message) => say('warn', message),
  })
  const settings: InjectorSettings = {
    image: plan.image,
    imagePullPolicy: plan.imagePullPolicy,
    imagePullSecrets: plan.imagePullSecrets,
    releaseNamespace: namespace,
    profiles: profiles.current,
    nativeSidecars: () => {
      const minor = version.minor()
      return minor === undefined ? undefined : minor >= firstNativeMinor
    },
    serverMinor: version.minor,
    ...(plan.runAsUser === undefined ? {} : { runAsUser: plan.runAsUser }),
  }

  const listening = Promise.withResolvers<void>()
  const open = async (certificate: Pair): Promise<void> => {
    const options = { settings, certificate, host: plan.host, port: plan.port, registry, note: events.note, log: log.logger }
    const injection = await openInjection(options).catch(atOption('listen.port', '--port'))
    state.injection = injection
    // Whatever came while the port was being opened.
    if (latest !== undefined) injection.replaceCertificate(latest)
    say('info', `listening on port ${injection.port}`)
    listening.resolve()
  }
  let latest: Pair | undefined
  const use = (pair: Pair): void => {
    const first = latest === undefined
    latest = pair
    if (first) open(pair).catch(listening.reject)
    else state.injection?.replaceCertificate(pair)
  }
  const certificate = openCertificate({ plan, kube, webhook, namespace, metrics, use, say })
  state.parts = { certificate, webhook, profiles, versionKnown: () => version.minor() !== undefined }
  certificate.look()
  listening.promise.catch((err: unknown) => {
    // Nobody would be served by a process that cannot listen.
    say('error', (err as Error).message)
    process.exit(1)
  })

  const close = async (): Promise<void> => {
    await state.injection?.close()
    for (const part of [certificate, webhook, profiles, version, events, kube, admin]) part.close()
  }
  return {
    adminPort: admin.port,
    drain: async () => {
      state.draining = true
      state.injection?.leave()
      say('info', `told to stop: answering for another ${plan.drainMs / 1_000} s, until all API servers know`)
      if (state.injection !== undefined) await timers.setTimeout(plan.drainMs)
      await close()
      say('info', 'stopped')
    },
  }
}

interface State {
  draining: boolean
  injection: Injection | undefined
  parts: { certificate: Certificate; webhook: Webhook; profiles: Profiles; versionKnown: () => boolean } | undefined
}

/** One sentence for the probe; undefined when pods may come. */
function whyNotReady({ draining, injection, parts }: State): string | undefined {
  if (draining) return 'shutting down'
  if (parts === undefined || injection === undefined) return 'no certificate yet'
  if (!parts.profiles.known()) return 'the profiles have not been read yet'
  if (!parts.versionKnown()) return 'the version of the API server is not known yet'
  return parts.webhook.distrust(parts.certificate.chain())
}

const readingsOf = (state: State): InjectorReadings => ({
  expiries: () => state.parts?.certificate.expiries() ?? {},
  watches: () => {
    if (state.parts === undefined) return {}
    const { webhook, profiles, certificate } = state.parts
    const secret = certificate.ageSeconds?.()
    return { webhook: webhook.ageSeconds(), profiles: profiles.ageSeconds(), ...(secret === undefined ? {} : { secret }) }
  },
  profiles: () => ({ inUse: state.parts?.profiles.current().size ?? 0, refused: state.parts?.profiles.refused() ?? 0 }),
  ready: () => whyNotReady(state) === undefined,
})

interface CertificateParts extends Omit<CertificateUse, 'repaired'> {
  readonly plan: InjectorPlan
  readonly kube: Kube
  readonly webhook: Webhook
  readonly namespace: string
  readonly metrics: InjectorMetrics
}

function openCertificate({ plan, kube, webhook, namespace, metrics, use, say }: CertificateParts): Certificate {
  const repaired = (entries: number): void => {
    metrics.repaired(entries)
    say('info', `the caBundle of ${entries} entries of ${plan.webhook} was written`)
  }
  if (plan.certificate.mode === 'files') return certificateOfFiles({ ...plan.certificate, webhook, use, say, repaired })
  const { secret, lives } = plan.certificate
  const account = kube.serviceAccount
  return automaticCertificate({
    kube,
    webhook,
    namespace,
    secret,
    // An owner in another namespace would have the Secret collected at once.
    owner:
      account?.namespace === namespace ? { apiVersion: 'v1', kind: 'ServiceAccount', name: account.name, uid: account.uid } : undefined,
    hosts: [`${plan.service}.${namespace}.svc`, ...plan.hosts],
    lives,
    now: Date.now,
    use,
    say,
    repaired,
  })
}

/** The sentence about a taken port, with the option that chooses another. */
const atOption = (setting: string, option: string) => (err: Error) => {
  try {
    return portTrouble(setting)(err)
  } catch (trouble) {
    if (!(trouble instanceof PortTrouble)) throw trouble
    throw new PortTrouble(trouble.message.replace(/with .*$/, `with ${option}.`), { cause: trouble })
  }
}
