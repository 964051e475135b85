import type Registry from 'prom-client/lib/registry.js'
import type { Happening, InjectorSettings } from './settings.ts'

/** A certificate chain and its private key, PEM. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
}

export interface InjectionOptions {
  readonly settings: InjectorSettings
  readonly certificate: CertificatePair
  /** `::` unless given, or 0.0.0.0 where there is no IPv6. */
  readonly host?: string
  /** 0 takes any free one. */
  readonly port: number
  readonly registry: Registry
  /** Never called for a dry run, nor for a pod without an owner. */
  readonly note: (happening: Happening) => void
  readonly log: InjectionLog
}

type Write = (fields: object, message: string) => void

export interface InjectionLog {
  readonly info: Write
  readonly warn: Write
  readonly error: Write
}

export interface Injection {
  readonly port: number
  /** For connections from now on. */
  readonly replaceCertificate: (pair: CertificatePair) => void
  /** Stops listening; resolves when what was in flight has been answered, or after five seconds. */
  readonly close: () => Promise<void>
}

export function openInjection(_options: InjectionOptions): Promise<Injection> {
  return Promise.reject(new Error('not yet'))
}
