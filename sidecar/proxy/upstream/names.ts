import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP } from 'node:net'

/** Resolves host names for the connector, with a memory. */
export interface Names {
  readonly resolve: (host: string, done: (err: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void) => void
  /** The next resolve asks again; true when there was something to forget. */
  readonly forget: (host: string) => boolean
}

export interface NamesOptions {
  readonly now: () => number
  readonly cacheMs: number
  /** Hosts with fixed addresses. */
  readonly aliases: Readonly<Record<string, readonly string[]>>
  readonly lookup?: typeof systemLookup
}

interface Entry {
  readonly addresses: readonly LookupAddress[]
  readonly until: number
}

/** An answer is remembered for `cacheMs`, and longer while the name server does not answer: an old address beats none. */
export function names({ now, cacheMs, aliases, lookup = systemLookup }: NamesOptions): Names {
  const known = new Map<string, Entry>()
  const fixed = (list: readonly string[]): LookupAddress[] => list.map((address) => ({ address, family: isIP(address) }))
  return {
    resolve: (host, done) => {
      const alias = aliases[host]
      if (alias !== undefined) return done(null, fixed(alias))
      if (isIP(host) !== 0) return done(null, fixed([host]))
      const entry = known.get(host)
      if (entry !== undefined && entry.until > now()) return done(null, entry.addresses)
      lookup(host, { all: true, order: 'verbatim' }, (err, addresses) => {
        if (err !== null) return entry === undefined ? done(err, []) : done(null, entry.addresses)
        known.set(host, { addresses, until: now() + cacheMs })
        done(null, addresses)
      })
    },
    forget: (host) => known.delete(host),
  }
}
