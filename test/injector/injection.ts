import { parseProfile, type Profile } from '../../sidecar/injector/profile.ts'
import type { InjectorSettings } from '../../sidecar/injector/settings.ts'

const upstream = '{ name: holysheep, url: https://api.holysheep.ai/v1, credential: holysheep }'

/** The profiles of the tests, as their ConfigMaps have them. */
const texts = {
  default: `
config:
  upstreams: [${upstream}]
secret: { keys: { holysheep: HOLYSHEEP_API_KEY } }
`,
  careful: `
config:
  listen: { port: 8081 }
  admin: { port: 9095 }
  upstreams: [${upstream}]
  drain: { grace: 20s }
  log: { level: warn }
secret: { name: llm-keys }
inject:
  env: { LLM_URL: '{url}', LLM_ROOT: '{origin}', LLM_KEY: '{key}', OPENAI_BASE_URL: '{url}/team' }
  scrape: true
  cpuRequest: 50m
  cpuLimit: 1
  memoryRequest: 128Mi
  memoryLimit: 256Mi
  imagePullSecrets: [registry-of-the-team]
`,
  keyless: `
config:
  upstreams: [{ name: local, url: 'http://localhost:18080/v1' }]
`,
} as const

export async function profilesOf(given: Readonly<Record<string, string>> = texts): Promise<ReadonlyMap<string, Profile>> {
  const parsed = Object.entries(given).map(async ([name, text]) => {
    const { profile } = await parseProfile(name, text, `profile ${name}`)
    return [name, profile] as const
  })
  return new Map(await Promise.all(parsed))
}

/** How a cluster is set up in which nothing is special. */
export function settingsWith(profiles: ReadonlyMap<string, Profile>, over: Partial<InjectorSettings> = {}): InjectorSettings {
  return {
    image: 'ghcr.io/example/outrider:1.2.3',
    imagePullPolicy: 'IfNotPresent',
    releaseNamespace: 'outrider-system',
    profiles: () => profiles,
    nativeSidecars: () => true,
    serverMinor: () => 34,
    ...over,
  }
}
