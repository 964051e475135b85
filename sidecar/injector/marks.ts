import { version } from '../version.ts'
import { configAnnotation, injectedLabel, isForeign, sidecarName, statusAnnotation } from './names.ts'
import { annotationsOf, labelsOf, specOf } from './pod.ts'
import type { Plan } from './plan.ts'
import { listOf, nameOf, rawOf, textOf, type Raw } from './raw.ts'
import { sidecarConfig } from './sidecarConfig.ts'

/** What tells people and programs that this pod has a sidecar, which one, and whom they mean when they say nothing. */
export function marks(pod: Raw, plan: Plan): Raw {
  const { profile, mode, ports } = plan
  const status = {
    version,
    profile: profile.name,
    config: profile.hash,
    mode,
    port: ports.data,
    admin: ports.admin,
    control: ports.control,
  }
  const annotations = {
    ...defaults(pod),
    ...annotationsOf(pod),
    ...scraping(pod, plan),
    [statusAnnotation]: JSON.stringify(status),
    [configAnnotation]: JSON.stringify(sidecarConfig(plan)),
  }
  return { ...pod, metadata: { ...rawOf(pod['metadata']), labels: { ...labelsOf(pod), [injectedLabel]: 'true' }, annotations } }
}

/** `kubectl logs` and `kubectl exec` mean the app. */
function defaults(pod: Raw): Raw {
  const names = listOf(specOf(pod)['containers']).map(nameOf)
  const app = names.find((name) => name !== sidecarName && !isForeign(name))
  if (app === undefined) return {}
  const [container, logs] = ['kubectl.kubernetes.io/default-container', 'kubectl.kubernetes.io/default-logs-container']
  // Logs follow the container where a person has chosen one.
  return { [container]: app, [logs]: textOf(annotationsOf(pod)[container]) ?? app }
}

const [scrape, scrapePort, scrapePath] = ['prometheus.io/scrape', 'prometheus.io/port', 'prometheus.io/path']

/** One annotation names one port: that of the app, where it has metrics of its own. */
function scraping(pod: Raw, { profile, tuning, ports, before }: Plan): Raw {
  if (!(tuning.scrape ?? profile.inject.scrape)) return {}
  const there = annotationsOf(pod)
  // The app is on neither of the two ports, so who names one of them means us.
  const isOurs = [ports.admin, before?.admin].map(String).includes(textOf(there[scrapePort]) ?? '')
  if (!isOurs && Object.keys(there).some((key) => key.startsWith('prometheus.io/'))) return {}
  return {
    [scrape]: textOf(there[scrape]) ?? 'true',
    [scrapePort]: String(ports.admin),
    [scrapePath]: textOf(there[scrapePath]) ?? '/metrics',
  }
}
