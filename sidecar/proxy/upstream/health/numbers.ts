import type { Config, Upstream } from '../../../config/config.ts'

/** The numbers of health of one upstream: what each is for, and why it is what it is, stands in the config's schema. */
export function healthNumbers({ health }: Pick<Config, 'health'>, { check }: Pick<Upstream, 'check'>) {
  const { limited } = health
  return {
    failuresInARow: health.failures,
    leastSuccessRate: health.successRate,
    leastAttempts: health.minimumCalls,
    windowMs: health.window,
    ejectionMs: health.ejection,
    longestEjectionMs: health.longestEjection,
    ejectionJitter: health.ejectionJitter,
    forgetMs: health.forgetEjection,
    longestProbeMs: health.probation,
    hastenedMs: health.hastened,
    slowStartMs: health.slowStart,
    leastEase: health.slowStartShare,
    longestHintMs: limited.longestHint,
    guessMs: limited.guess,
    longestGuessMs: limited.longestGuess,
    trialMs: limited.trial,
    turnMs: limited.turn,
    overloadMs: limited.overload,
    longestOverloadMs: limited.longestOverload,
    authMs: health.authProbe,
    exhaustedMs: health.exhausted,
    longestExhaustedMs: health.longestExhausted,
    checksDown: check.failures,
    checksUp: check.successes,
  }
}

export type HealthNumbers = Readonly<ReturnType<typeof healthNumbers>>
