import type { SecureContext } from 'node:tls'
import type { Egress } from './egress.ts'

/** Where an upstream's connections go. */
export interface Place {
  readonly host: string
  readonly port: number
  /** Undefined for plain HTTP. */
  readonly tls: { readonly serverName: string; readonly context: () => SecureContext; readonly http2: boolean } | undefined
  /** Fixed addresses in place of what the name resolves to; Host and SNI stay. */
  readonly addresses: readonly string[] | undefined
  readonly egress: Egress | undefined
}
