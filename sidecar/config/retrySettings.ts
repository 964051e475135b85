import * as v from 'valibot'
import { count, duration, share } from './kinds.ts'
import { mapping } from './mapping.ts'
import { required, setting } from './setting.ts'

const budget = mapping({
  concurrent: setting(share, {
    default: 0.2,
    help: 'Share of the calls in flight that may be repeats.',
    reason: 'What common proxies allow: repeats then never make an overload much worse.',
  }),
  leastConcurrent: setting(count({ least: 0 }), {
    default: 3,
    help: 'So many repeats may run at a time whatever the share says.',
    reason: 'A sidecar often has a single call in flight, and a fifth of that is nothing.',
  }),
  rate: setting(share, {
    default: 0.2,
    help: 'Share of the calls of the last rateWindow that may have been repeats.',
    reason: 'The same bound for short calls, of which few are in flight at once.',
  }),
  leastRate: setting(count({ least: 0 }), {
    default: 10,
    help: 'So many repeats within rateWindow whatever the share says.',
    reason: 'A quiet app must be helped too.',
  }),
  rateWindow: setting(duration({ least: '1s' }), {
    default: '60s',
    help: 'How far back calls and repeats count for rate and leastRate.',
    reason: 'Longer than nearly all calls take, and a burst of failures is forgotten with the next minute.',
  }),
  tokens: setting(share, {
    default: 0.1,
    help: 'Share of the tokens of the last tokensWindow that may have been sent twice where the first time may be billed.',
    reason: 'Bounds what repeats can add to the bill.',
  }),
  leastTokens: setting(count({ least: 0, most: 1_000_000_000 }), {
    default: 200_000,
    help: 'So many tokens within tokensWindow whatever the share says.',
    reason: 'One long prompt.',
  }),
  tokensWindow: setting(duration({ least: '1s' }), {
    default: '5m',
    help: 'How far back tokens count for tokens and leastTokens.',
    reason: 'Prompts differ so much that a shorter window would know a single one.',
  }),
  unanswered: setting(count({ most: 100 }), {
    default: 2,
    help: 'What a repeat counts for in rate and leastRate where the attempt before it ended without a whole answer: too late, or broken off. Any other counts for one.',
    reason: 'The model was at work on it, and what may be billed twice should be rarer.',
  }),
})

export const retry = mapping({
  attempts: setting(count({ most: 10 }), {
    default: 3,
    help: 'Most attempts of a call, over all upstreams and models.',
    reason: 'Two failures in a row happen; after three, the next will fail too.',
  }),
  attemptsIfRepeated: setting(count({ most: 10 }), {
    default: 2,
    help: 'The same for a call that its client has repeated by itself (X-Stainless-Retry-Count); never more than attempts.',
    reason: 'Its repeats and ours multiply: the common clients make three attempts of their own.',
  }),
  backoff: setting(duration(), {
    default: '250ms',
    help: 'Longest first wait before the same upstream is asked again; it doubles, and the real wait is drawn between zero and it.',
    reason: 'Long enough for a connection to recover, too short for a person to notice.',
  }),
  throttledBackoff: setting(duration(), {
    default: '1s',
    help: 'The same after an upstream said that it has too much to do.',
    reason: 'Its limits count in seconds.',
  }),
  longestBackoff: setting(duration(), {
    default: '8s',
    help: 'The bound of the doubling.',
    reason: 'The longest that the official clients wait by themselves.',
  }),
  longestWait: setting(duration({ least: '0s' }), {
    default: '30s',
    help: 'How long a call may wait for upstreams that are over their limits, where no other is left; what asks for more is passed on.',
    reason:
      'Most limits go by within half a minute; official clients wait for up to a minute, and each of them by itself. With 10 s, six times as many calls of the simulated day are lost.',
  }),
  waitBeforeFallback: setting(duration({ least: '0s' }), {
    default: '2s',
    help: 'The same where another model can be asked instead (fallbacks); never longer than longestWait.',
    reason: 'An answer of another model is worth more than a long wait for this one.',
  }),
  spread: setting(share, {
    default: 0.25,
    help: 'Those that wait for the same upstream come over this share of the time that it took, over throttledBackoff at least and longestBackoff at most.',
    reason: 'All at once they would meet the limit again.',
  }),
  leastLeft: setting(duration({ least: '0s' }), {
    default: '2s',
    help:
      'No further attempt begins, and no wait for one, with less than this left of the time of the call (timeouts.total or streamTotal, or what its ' +
      'client gives it), nor with less than the first byte of that upstream and model usually takes: the median of the last ones.',
    reason: 'Few models have a whole answer in less, and it would be paid for all the same.',
  }),
  budget: v.optional(required(budget, { help: 'What repeats may cost, all calls together.' }), {}),
})
