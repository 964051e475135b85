import type { KindName } from '../../sidecar/proxy/errors.ts'
import type { Owner } from '../fixtures/providerExchange.ts'

/** What a person did, and all that came of it, word for word. */
export interface Seen {
  /** A command that could be typed, with what stood around it as comments. */
  readonly did: string
  readonly came: string
  /** Lines of the log, for those who look there. */
  readonly log: readonly string[]
}

/** A way to fail. The tests look at what is told of it, and `npm run transcripts` prints that for people to read. */
export interface Scene {
  readonly title: string
  /** For failures of calls: what they must come to. */
  readonly kind?: KindName
  /** Where the failure is in no answer, but in the log alone. */
  readonly onlyInLog?: true
  /** Parts that must stand in what came, or in the log where nothing can come: the concrete things. */
  readonly says: readonly (string | RegExp)[]
  readonly play: (t: Owner) => Promise<Seen>
}

export interface Chapter {
  readonly title: string
  readonly scenes: readonly Scene[]
}
