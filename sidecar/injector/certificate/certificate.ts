import type { X509Certificate } from 'node:crypto'
import type { Pair } from './issue.ts'

/** The serving certificate of this replica, wherever it comes from. */
export interface Certificate {
  /** What is shown to clients now; empty before the first. */
  readonly chain: () => readonly X509Certificate[]
  /** The ends of what must be renewed in time, since the epoch. */
  readonly expiries: () => Readonly<Partial<Record<'authority' | 'leaf', number>>>
  /** How long the API server has said nothing about its Secret, where there is one to watch. */
  readonly ageSeconds?: () => number
  /** Something has changed that it depends on. */
  readonly look: () => void
  readonly close: () => void
}

export interface CertificateUse {
  /** Called with the first, and with each that replaces it. */
  readonly use: (pair: Pair) => void
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  /** So many entries of the webhook did not trust us and now do. */
  readonly repaired: (entries: number) => void
}
