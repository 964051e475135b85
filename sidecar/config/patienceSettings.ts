import { count, duration, ratio } from './kinds.ts'
import { mapping } from './mapping.ts'
import { setting } from './setting.ts'

export const patience = mapping({
  cold: setting(duration(), {
    default: '60s',
    help: 'The wait while little is known, and the least for an upstream that nobody could take over from.',
    reason: 'Nearly every model has begun by then, and a call that nobody else can serve is better served late than cut.',
  }),
  shortest: setting(duration(), {
    default: '15s',
    help: 'The least wait for a model that is known.',
    reason: 'A fast model has a queue now and then, and an attempt that is given up may be billed.',
  }),
  longest: setting(duration(), {
    default: '2m',
    help: 'The longest wait for a model that is known.',
    reason: 'Who watches a screen has left by then.',
  }),
  times: setting(ratio(100), {
    default: 3,
    help: 'So many times what 99 of 100 first events took is waited for.',
    reason: 'A model that thinks long is not one that hangs.',
  }),
  warmAfter: setting(count({ most: 200 }), {
    default: 50,
    help: 'After so many first events a model is known at an upstream; before, the upstream is, if so many have come of all its models.',
    reason: 'Of fewer, the slowest says little about one in a hundred; the last 200 are remembered.',
  }),
})
