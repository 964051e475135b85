import { formatDuration } from '../config/units.ts'
import type { Plan } from './plan.ts'
import { rawOf, type Raw } from './raw.ts'

/** The config of one sidecar: that of its profile, and what is so in this pod only. */
export function sidecarConfig({ profile: { document }, ports, tuning, drainMs, mode, endsAfter }: Plan): Raw {
  const part = (name: string): Raw => rawOf(document[name])
  const level = tuning['log-level']
  return {
    ...document,
    listen: { ...part('listen'), port: ports.data },
    admin: { ...part('admin'), port: ports.admin },
    control: { ...part('control'), port: ports.control, ...(mode === 'legacy' && { off: false, quit: true }) },
    drain: { ...part('drain'), grace: formatDuration(drainMs), ...(endsAfter > 0 && { afterContainers: endsAfter }) },
    ...(level !== undefined && { log: { ...part('log'), level } }),
  }
}
