import { hash, timingSafeEqual } from 'node:crypto'
import type { Layer } from '../call.ts'
import { SidecarError } from '../errors.ts'

export interface Client {
  readonly name: string
  /** SHA-256 of the client's key, in hex: the key itself is stored nowhere. */
  readonly sha256: string
}

/** Names the client by the key it shows. Where no clients are configured everyone on the loopback is welcome. */
export function identify(clients: () => readonly Client[] | undefined): Layer {
  return (next) => (call) => {
    const known = clients()
    if (known === undefined) return next(call)
    const { key } = call.wishes
    if (key === undefined)
      return Promise.reject(
        new SidecarError(
          'unauthorized',
          'the request shows no key, and only configured clients are served here: let the app send its key as "authorization: Bearer KEY"',
        ),
      )
    const shown = Buffer.from(hash('sha256', key), 'hex')
    let found: Client | undefined
    // All are compared, each in constant time, so that the time taken tells nothing about which one was near.
    for (const client of known) if (timingSafeEqual(Buffer.from(client.sha256, 'hex'), shown)) found = client
    if (found === undefined)
      return Promise.reject(
        new SidecarError('unauthorized', 'the key that the request shows is not that of a configured client (clients, clientsFile)'),
      )
    call.facts.client = found.name
    return next(call)
  }
}
