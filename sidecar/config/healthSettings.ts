import * as v from 'valibot'
import { count, duration, share, someShare } from './kinds.ts'
import { mapping } from './mapping.ts'
import { optional, required, setting } from './setting.ts'

const limited = mapping({
  longestHint: setting(duration(), {
    default: '5m',
    help: 'Longest time for which an upstream is left alone because it asks for it; longer ones are cut to this.',
    reason: 'A hint of a day may be wrong, and to ask again costs one refusal.',
  }),
  guess: setting(duration(), {
    default: '2s',
    help: 'How long one that names no time is left alone, the first time; each next limit in a row takes twice as long.',
    reason: 'Limits count by the second or by the minute, and the doubling finds out which.',
  }),
  longestGuess: setting(duration(), {
    default: '10s',
    help: 'The bound of the doubling.',
    reason:
      'One call finds out whether a guess was too short; well below retry.longestWait, so that nobody gives up for one that was too long.',
  }),
  trial: setting(duration({ least: '0s' }), {
    default: '5s',
    help: 'How long it is on trial after a guess: a call that failed elsewhere does not rely on it, and no answer ends the row of limits yet.',
    reason: 'One that is still over its limit has turned somebody away long before.',
  }),
  turn: setting(duration({ least: '0s' }), {
    default: '1s',
    help: 'How often a call is let through to one on trial.',
    reason: 'One call finds out what it is like, and not all that wait for it.',
  }),
  overload: setting(duration({ least: '0s' }), {
    default: '2s',
    help: 'Shortest time for which one that says it is overloaded (529) without naming a time is left alone; the real one is drawn between this and longestOverload.',
    reason: 'Such a peak passes within seconds.',
  }),
  longestOverload: setting(duration({ least: '0s' }), {
    default: '5s',
    help: 'The longest of it.',
    reason: 'Wide enough that those who were turned away together do not come back together.',
  }),
})

export const health = mapping({
  failures: setting(count(), {
    default: 5,
    help: 'After so many failures in a row an upstream is ejected.',
    reason: 'One failure is chance, five one after the other are none.',
  }),
  successRate: setting(share, {
    default: 0.5,
    help: 'An upstream whose share of successes within the window is lower is ejected.',
    reason: 'It costs more attempts than it answers calls.',
  }),
  minimumCalls: setting(count(), {
    default: 8,
    help: 'Below so many attempts within the window the share says nothing.',
    reason: 'A sidecar sees few calls.',
  }),
  window: setting(duration({ least: '1s' }), {
    default: '60s',
    help: 'The window of the share.',
    reason: 'Calls last seconds: less would see too few of them.',
  }),
  ejection: setting(duration(), {
    default: '10s',
    help: 'How long the first ejection lasts; each next one twice as long.',
    reason: 'Most faults of providers are over by then.',
  }),
  longestEjection: setting(duration(), {
    default: '5m',
    help: 'The bound of the doubling.',
    reason: 'A dead upstream costs one call in five minutes; checks that see it come back end an ejection sooner.',
  }),
  ejectionJitter: setting(share, {
    default: 0.2,
    help: 'By up to this share an ejection is shorter or longer, at random; longestEjection too.',
    reason: 'Sidecars that took an upstream out together should not come back together.',
  }),
  forgetEjection: setting(duration(), {
    default: '60s',
    help: 'For each such time that it was in use again, one doubling is taken back.',
    reason: 'What fails now and then over a day is not what fails again at once.',
  }),
  probation: setting(duration(), {
    default: '12s',
    help: 'How long the one real call that an ejected upstream gets at the end keeps all others from it, should it take that long.',
    reason:
      'A model may think for a minute, and another call may find out sooner; longer than timeouts.connect, so that calls do not pile up at a dead one.',
  }),
  hastened: setting(duration({ least: '0s' }), {
    default: '2s',
    help: 'When checks, or calls, find its host back, an ejection is over within this time, at a moment drawn at random.',
    reason: 'Soon, and not at once for all sidecars that saw it come back.',
  }),
  mostEjected: setting(share, {
    default: 0.5,
    help: 'Most of a tier that may be ejected at a time, where no lower tier could take over.',
    reason: 'When most seem bad, it is likely something else that is.',
  }),
  slowStart: setting(duration({ least: '0s' }), {
    default: '30s',
    help: 'How long an upstream that is back gets less than its share.',
    reason: 'Caches are cold, and limits of providers forgive slowly.',
  }),
  slowStartShare: setting(someShare, {
    default: 0.1,
    help: 'The part of its share with which a slow start begins; it grows evenly to the whole.',
    reason: 'Enough calls to tell how it is, few enough to be missed.',
  }),
  limited: v.optional(required(limited, { help: 'When an upstream turns calls away because there are too many.' }), {}),
  authProbe: setting(duration(), {
    default: '60s',
    help: 'A key that was refused is tried again this often; at once when it changes.',
    reason: 'Rights granted in a console take effect without a new key.',
  }),
  exhausted: setting(duration(), {
    default: '5m',
    help: 'How long a key without money left is not used; it doubles.',
    reason: 'Somebody has to pay first.',
  }),
  longestExhausted: setting(duration(), {
    default: '1h',
    help: 'The bound of the doubling.',
    reason: 'Paid within the hour, used within the hour.',
  }),
})

const checkKinds = ['auto', 'off', 'models', 'path', 'connect'] as const
export const check = mapping({
  by: setting(v.picklist(checkKinds, `must be one of ${checkKinds.join(', ')}`), {
    default: 'auto',
    help: 'What is asked where no call has ended within interval: the list of models (any answer but an error of the server or a page is good), the path below, or only whether a connection can be opened. auto is the list where there are several upstreams, and else off.',
    reason: 'A call tells more than a check, and where there is one upstream only, no answer could send a call elsewhere.',
  }),
  path: optional(v.pipe(v.string('must be a path'), v.regex(/^\/[\x21-\x7e]*$/, 'must be a path that starts with /')), {
    help: 'Where to ask, from the root of the host of the upstream; any answer below 400 is good.',
  }),
  interval: setting(duration({ least: '1s' }), {
    default: '10s',
    help: 'How often, give or take a tenth.',
    reason: 'A dead upstream is known within half a minute, and so is one that is back.',
  }),
  quietInterval: setting(duration({ least: '1s' }), {
    default: '10s',
    help: 'How often auto asks one that nothing is known against; never more often than interval.',
    reason:
      'A standby that dies is known before it is needed. A large fleet may want a minute: ten thousand idle sidecars ask a standby a thousand times a second.',
  }),
  timeout: setting(duration(), { default: '5s', help: 'Longest wait for the answer.', reason: 'A list of models takes a fraction of it.' }),
  failures: setting(count(), {
    default: 3,
    help: 'So many failures in a row take the upstream out.',
    reason: 'One lost packet is no outage.',
  }),
  successes: setting(count(), { default: 2, help: 'So many successes in a row bring it back.', reason: 'One may be luck.' }),
})
