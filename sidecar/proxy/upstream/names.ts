import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP } from 'node:net'

/** `remembered` is true when the answer came out of the memory: it may be out of date, and asking again may help. */
type Resolved = (err: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[], remembered: boolean) => void

/** Resolves host names for the connector, with a memory. */
export interface Names {
  readonly resolve: (host: string, done: Resolved) => void
  /** The next resolve asks again; should that fail, what was known still serves. */
  readonly forget: (host: string) => void
}

/** Of `lookup` in node:dns, the one form that is used. */
export type Lookup = (
  host: string,
  options: { all: true; order: 'verbatim' },
  done: (err: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface NamesOptions {
  readonly now: () => number
  readonly cacheMs: number
  /** Hosts with fixed addresses. */
  readonly aliases: Readonly<Record<string, readonly string[]>>
  readonly lookup?: Lookup
}

interface Entry {
  readonly addresses: readonly LookupAddress[]
  until: number
}

/** A resolver that times out does so after many seconds; where an old answer is at hand, no call waits for that. */
const patienceMs = 1_000
/** And not every call asks a resolver that has just failed. */
const respiteMs = 5_000

/** An answer is remembered for `cacheMs`, and longer while the name server does not answer: an old address beats none. */
export function names({ now, cacheMs, aliases, lookup = systemLookup }: NamesOptions): Names {
  const known = new Map<string, Entry>()
  const asking = new Map<string, Resolved[]>()
  const fixed = new Map(Object.entries(aliases).map(([host, list]) => [host.toLowerCase(), list.map(asAddress)]))

  const ask = (host: string, done: Resolved): void => {
    const waiting = asking.get(host)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    const all = [done]
    asking.set(host, all)
    lookup(host, { all: true, order: 'verbatim' }, (err, addresses) => {
      asking.delete(host)
      if (err === null) known.set(host, { addresses, until: now() + cacheMs })
      const entry = known.get(host)
      if (err !== null && entry !== undefined) entry.until = now() + Math.min(cacheMs, respiteMs)
      for (const tell of all) {
        if (err === null) tell(null, addresses, false)
        else if (entry === undefined) tell(err, [], false)
        // Asked for just now, and all there is: asking once more would help nobody.
        else tell(null, entry.addresses, false)
      }
    })
  }

  return {
    resolve: (host, done) => {
      const alias = fixed.get(host.toLowerCase())
      if (alias !== undefined) return done(null, alias, false)
      if (isIP(host) !== 0) return done(null, [asAddress(host)], false)
      const entry = known.get(host)
      if (entry === undefined) return ask(host, done)
      if (entry.until > now()) return done(null, entry.addresses, true)
      ask(host, oldAfter(entry, done))
    },
    forget: (host) => {
      const entry = known.get(host)
      if (entry !== undefined) entry.until = 0
    },
  }
}

/** Whichever comes first: the new answer, or the end of the patience with which it is waited for. */
function oldAfter(entry: Entry, done: Resolved): Resolved {
  let told = false
  const once: Resolved = (err, addresses, remembered) => {
    if (told) return
    told = true
    clearTimeout(timer)
    done(err, addresses, remembered)
  }
  const timer = setTimeout(() => {
    once(null, entry.addresses, false)
  }, patienceMs)
  timer.unref()
  return once
}

const asAddress = (address: string): LookupAddress => ({ address, family: isIP(address) })
