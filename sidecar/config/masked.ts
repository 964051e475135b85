import type { Config } from './config.ts'
import { isMapping } from './mapping.ts'

const mask = '***'

/** The config as it may be shown: what is a key, or may hold one, is replaced. */
export function masked(config: Config): unknown {
  return without(config, [])
}

function without(value: unknown, path: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => without(item, [...path, '[]']))
  if (isMapping(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, without(item, [...path, key])]))
  if (typeof value !== 'string') return value
  // `prefix` stands in front of a key, and people write the key itself there.
  if (/^(?:credentials [^ ]+ value|clients \[\] sha256|upstreams \[\] auth prefix)$/.test(path.join(' '))) return mask
  return value.includes('://') || /^https?:/i.test(value) ? maskedUrl(value) : value
}

/** A version is the one thing in the query of a base URL that is worth showing. */
function maskedUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null) return mask
  if (url.username !== '') url.username = mask
  if (url.password !== '') url.password = mask
  // What stands there without a value may be the key itself.
  const shown = [...url.searchParams].map(([name, value]) => {
    if (name === 'api-version') return `${name}=${encodeURIComponent(value)}`
    return value === '' ? mask : `${encodeURIComponent(name)}=${mask}`
  })
  url.search = shown.join('&')
  return url.href
}
