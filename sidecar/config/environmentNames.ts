export type Env = Readonly<Record<string, string | undefined>>

interface EnvironmentName {
  /** Spellings of one thing: they may stand beside each other where they say the same. */
  readonly names: readonly string[]
  readonly help: string
}

/** What the environment alone can say, where there is no config file. The help of `proxy` and the README are made of this. */
export const environmentNames = [
  {
    names: ['HOLYSHEEP_API_KEY', 'API_KEY', 'OPENAI_API_KEY'],
    help: 'the key; without a URL, calls go to the provider that the name says',
  },
  { names: ['HOLYSHEEP_BASE_URL', 'BASE_URL', 'OPENAI_BASE_URL'], help: 'where calls go, with its /v1' },
  { names: ['REQUEST_TIMEOUT'], help: 'seconds: total of a non-stream; first event and silence of a stream' },
  { names: ['HTTPS_PROXY', 'https_proxy'], help: 'HTTP proxy for a URL with https' },
  { names: ['HTTP_PROXY', 'http_proxy'], help: 'HTTP proxy for a URL with http' },
  { names: ['NO_PROXY', 'no_proxy'], help: 'where to connect directly, with commas between' },
  { names: ['LOG_LEVEL'], help: 'trace, debug, info, warn, error, fatal or silent, in any case' },
  { names: ['PORT'], help: 'port for the calls of the app; 0 takes any free one' },
  { names: ['ADMIN_PORT'], help: 'port for probes and metrics; 0 takes any free one' },
  { names: ['DEFAULT_MODEL'], help: 'the model of calls that name none' },
  { names: ['FALLBACK_MODEL'], help: 'the model to ask when the one asked for cannot be had' },
  { names: ['MAX_RETRIES'], help: 'so many attempts more than one, at most; 2 when unset' },
] as const satisfies readonly EnvironmentName[]

/**
 * The variables of this list that are set, that a config file does not mention, and that do nothing beside one. Proxies count all the same:
 * the cluster sets them for every program.
 */
export function idleNames(env: Env, text: string): string[] {
  return environmentNames
    .flatMap(({ names }): readonly string[] => names)
    .filter((name) => !/_proxy$/i.test(name) && isSet(env[name]) && !new RegExp(`\\b${name}\\b`).test(text))
}

/** A variable that is there but empty, as an unfilled template leaves it, is as good as none. */
export function isSet(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== ''
}

/** `A`, `A and B`, `A, B and C`. */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
