/** The numbers of health, each with its reason; a config may bring others. */
export const healthDefaults = {
  /** One failure is chance, five one after the other are none. */
  failuresInARow: 5,
  /** Below it the upstream does more harm than good; above it retries elsewhere still pay. */
  leastSuccessRate: 0.5,
  /** So few attempts say nothing of a rate. */
  leastAttempts: 8,
  /** Longer than nearly all calls take: in a shorter one they would be seen to begin and not to end. */
  windowMs: 60_000,
  /** Long enough for a restart of the upstream to be worth a second look. */
  ejectionMs: 10_000,
  longestEjectionMs: 300_000,
  /** For each of these without an ejection one is forgotten, so that it begins short again. */
  forgetMs: 60_000,
  /** Money is paid in by people. */
  exhaustedMs: 300_000,
  longestExhaustedMs: 3_600_000,
  /** A key may be let in again without changing. */
  authMs: 60_000,
  /** Doubles with each limit reached in a row, where the upstream does not say how long. */
  limitedMs: 1_000,
  /** A hint of a day may be wrong, and to ask again costs one refusal. */
  longestLimitedMs: 300_000,
  slowStartMs: 30_000,
  leastEase: 0.1,
  /** A model may think for a minute: another call may find out sooner. Longer than a connection takes to fail. */
  longestProbeMs: 12_000,
  checksDown: 3,
  checksUp: 2,
  /** Soon, but not for all sidecars that saw it come back in the same instant. */
  hastenedMs: 2_000,
}

export type HealthNumbers = { readonly [Name in keyof typeof healthDefaults]: number }
