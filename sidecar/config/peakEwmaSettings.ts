import { count, duration, ratio } from './kinds.ts'
import { mapping } from './mapping.ts'
import { setting } from './setting.ts'

export const peakEwma = mapping({
  decay: setting(duration(), {
    default: '20s',
    help: 'What was seen of an upstream this long ago counts a third; the rest is what is usual in its tier for that model, the median.',
    reason: 'Calls to models come seconds apart: less would forget from one to the next.',
  }),
  unknown: setting(duration(), {
    default: '1s',
    help: 'What a first byte is taken to need while none has come from anywhere in the tier.',
    reason: 'It weighs a failure only: all upstreams that are unknown are alike.',
  }),
  penalty: setting(duration({ least: '0s' }), {
    default: '5s',
    help: 'A failure counts as a first byte that took this much longer, or as long as the upstream asks to be left alone.',
    reason: 'Who refuses at once is not fast.',
  }),
  penaltyDecay: setting(duration(), {
    default: '5s',
    help: 'A failure this long ago counts a third; an answer halves it.',
    reason:
      'Whoever fails for good is ejected meanwhile. Twice as long, and one call that fails by chance behind an outage would keep an upstream out for half a minute more.',
  }),
  longestPenalty: setting(duration({ least: '0s' }), {
    default: '5m',
    help: 'The most that is counted of what an upstream asks for.',
    reason: 'A hint of an hour says nothing about the speed after it.',
  }),
  penaltyTimes: setting(count({ least: 0, most: 100 }), {
    default: 3,
    help: 'A failure counts at least as so many times what is usual.',
    reason: 'Where a first byte usually takes longer than the penalty, a failure would still look fast.',
  }),
  leastTokens: setting(count(), {
    default: 1_000,
    help: 'A call counts as at least so many tokens.',
    reason: 'One small call in flight must not make a slower upstream look better for the next small one.',
  }),
  level: setting(ratio(10), {
    default: 1.25,
    help: 'Upstreams that are worse than the best by no more than this factor take turns with it.',
    reason: 'First bytes vary more than this from call to call; who is nearly as good is not forgotten.',
  }),
  fullScan: setting(count({ least: 2, most: 1_000 }), {
    default: 8,
    help: 'Up to so many upstreams of a tier are all compared for a call; of more, two that are drawn.',
    reason: 'Of few, two drawn at random miss the best too often; of many, all sidecars would run to the same one.',
  }),
})
