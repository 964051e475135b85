import * as v from 'valibot'
import { count, duration, flag, headerName, ratio } from './kinds.ts'
import { mapping } from './mapping.ts'
import { required, setting } from './setting.ts'

const words = ['prompt_cache_key', 'user', 'prompt'] as const

// Taken off each call before anything is chosen by what is left of it.
const taken = /^(?:authorization|(?:x-|x-goog-)?api-key|cookie|host|connection|content-length|x-outrider-.*)$/i
const sessionHeader = v.pipe(
  headerName,
  v.check((header) => !taken.test(header), 'is a header that no call has here: name one of your own, such as x-session-id'),
)

const affinityKey = v.union(
  [
    v.picklist(words),
    mapping({
      header: required(sessionHeader, { help: 'The header whose value such calls have in common, as that of a session.' }),
    }),
  ],
  `must be one of ${words.join(', ')}, or { header }`,
)

/** What calls must have in common to go to the same upstream; the first that a call has counts. */
export const affinity = v.array(affinityKey, 'must be a list, such as [user, prompt], or [] for none')

/** Taken apart, so that routing has them as settings of its own. */
export const affinitySettings = {
  affinity: setting(affinity, {
    default: ['prompt_cache_key'],
    help:
      'Calls that have this in common go to the same upstream of a tier, where their prompt is still in its cache: prompt_cache_key, user (or ' +
      'safety_identifier), the beginning of the prompt, or a header. The first of the list that a call has counts; empty for none.',
    reason:
      'Who sets that key asks for just this. The beginning of the prompt is the same in most calls of an app, and would put nearly all of ' +
      'them on one upstream, whatever the weights and however slow it is.',
  }),
  affinityLoad: setting(ratio(10), {
    default: 1.25,
    help: 'So much of its share of the calls in flight an upstream may carry before calls go to the next one in spite of their affinity.',
    reason: 'Enough to stay warm, too little to be overrun by one key that everybody uses.',
  }),
}

export const pins = mapping({
  off: setting(flag, {
    default: false,
    help: 'Let calls that name a file, an earlier response and the like go anywhere: only for upstreams that are one account.',
    reason: 'Another account does not have it, and says that it does not exist.',
  }),
  most: setting(count(), {
    default: 20_000,
    help: 'So many ids are remembered; then those that were not named for longest are forgotten.',
    reason: 'Some four megabytes at most, and more than a pod makes while they are of use.',
  }),
  keep: setting(duration({ least: '1m' }), {
    default: '576h',
    help: 'How long an id is remembered after it was named last.',
    reason: 'Most of the thirty days for which providers keep what they store.',
  }),
})
