import * as v from 'valibot'
import { canary } from './canarySettings.ts'
import { affinity, affinitySettings, pins } from './affinitySettings.ts'
import { count, duration, headerName, name, share } from './kinds.ts'
import { mapping, named } from './mapping.ts'
import { modelName } from './modelSettings.ts'
import { optional, required, setting } from './setting.ts'

const strategies = ['peak_ewma', 'round_robin', 'weighted', 'least_connections', 'least_tokens'] as const
const strategy = v.picklist(strategies, `must be one of ${strategies.join(', ')}`)

const aPattern = 'must be the name of a model, in which * stands for any characters'
export const modelPattern = v.pipe(v.string(aPattern), v.regex(/^[\x21-\x7e]{1,200}$/, aPattern))

export const triggers = ['error', 'rate_limited', 'timeout', 'context_window', 'content_policy'] as const
/** A refusal on grounds of content is no failure. */
export const defaultTriggers: readonly (typeof triggers)[number][] = ['error', 'rate_limited', 'timeout', 'context_window']
const trigger = v.picklist(triggers, `must be one of ${triggers.join(', ')}`)

const fallback = mapping(
  {
    model: required(modelName, { help: 'The model to ask instead.' }),
    on: setting(v.pipe(v.array(trigger, 'must be a list of triggers'), v.minLength(1, 'is empty: name a trigger')), {
      default: [...defaultTriggers],
      help: 'What sends a call there: upstreams that fail (error), that are over their limit (rate_limited), that are too slow (timeout), a prompt too long (context_window), a prompt refused (content_policy).',
      reason: 'A refusal on grounds of content is an answer; asking another model for the same is for the owner of the app to decide.',
    }),
  },
  'must be a mapping, such as { model: gpt-4o-mini }',
)
const fallbacks = v.array(fallback, 'must be a list of fallbacks')

const resumes = ['continue', 'splice', 'error'] as const
const resume = v.picklist(resumes, `must be one of ${resumes.join(', ')}`)

const upstreamNames = v.pipe(v.array(name, 'must be a list of names of upstreams'), v.minLength(1, 'is empty: leave it out for all'))

export const route = mapping({
  name: required(name, { help: 'What logs, metrics and the control port call this route.' }),
  models: required(v.pipe(v.array(modelPattern, 'must be a list of models'), v.minLength(1, 'is empty: name a model, or *')), {
    help: 'The models this route is for; * stands for any characters. The first route that fits is taken.',
  }),
  upstreams: optional(upstreamNames, { help: 'Where calls of this route may go; all upstreams unless named.' }),
  strategy: optional(strategy, { help: 'How one is chosen among them, where it differs from routing.strategy.' }),
  affinity: optional(affinity, { help: 'What calls have in common that go to the same one, where it differs from routing.affinity.' }),
  fallbacks: optional(fallbacks, { help: 'Models to ask when this one cannot be had, in this order.' }),
  resume: optional(resume, { help: 'What becomes of streams that break off, where it differs from routing.resume.' }),
  canary: optional(canary, { help: 'Upstreams or a model on trial, for a share of the calls of this route.' }),
})

const priority = mapping({
  header: setting(headerName, {
    default: 'x-priority',
    help: 'The header in which an app says how much a call matters.',
    reason: 'The name that workers with priorities commonly use.',
  }),
  models: required(named(modelName, modelName), { help: 'Which model serves which priority.' }),
})

const overrides = mapping({
  upstreams: optional(upstreamNames, { help: 'Upstreams that a call may ask for with x-outrider-upstream.' }),
  models: optional(v.array(modelPattern, 'must be a list of models'), {
    help: 'Models that a call may ask for with x-outrider-model, whatever its body says; * stands for any characters.',
  }),
})

export const routing = mapping({
  strategy: setting(strategy, {
    default: 'peak_ewma',
    help: 'How an upstream is chosen among those of a tier: peak_ewma, by how soon it answers; round_robin, in turns; weighted, at random; least_connections, with the fewest calls in flight; least_tokens, with the fewest tokens in flight; all by weight.',
    reason: 'It goes by what hurts: the time to the first byte, times what is already waiting there.',
  }),
  ...affinitySettings,
  pins: v.optional(required(pins, { help: 'Calls that name what one account has made go back to it, and never to another.' }), {}),
  defaultModel: optional(modelName, { help: 'The model of calls that name none.' }),
  aliases: optional(named(modelName, modelName), {
    help: 'Names that clients may use for other models; looked up once, and for what clients ask for only.',
  }),
  priority: optional(priority, { help: 'Lets a header choose the model.' }),
  overrides: optional(overrides, { help: 'What a call may ask for by header. Without it, nothing.' }),
  fallbacks: optional(fallbacks, {
    help: 'Models to ask when the one asked for cannot be had; for calls that no route with its own fits.',
  }),
  resume: setting(resume, {
    default: 'continue',
    help: 'What becomes of a stream that breaks off when the client has part of it. continue: another upstream that continues goes on from there, else as splice. splice: another upstream says all again, and what the client has is left out as long as both agree, else as error. error: it ends with an error.',
    reason: 'An answer that comes whole is worth a second attempt, which counts for the budgets; and no text is ever made up to fit.',
  }),
})

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
  perMinute: setting(share, {
    default: 0.2,
    help: 'Share of the calls of the last minute that may have been repeats.',
    reason: 'The same bound for short calls, of which few are in flight at once.',
  }),
  leastPerMinute: setting(count({ least: 0 }), {
    default: 10,
    help: 'So many repeats a minute whatever the share says.',
    reason: 'A quiet app must be helped too.',
  }),
  tokens: setting(share, {
    default: 0.1,
    help: 'Share of the tokens of the last five minutes that may have been sent twice where the first time may be billed.',
    reason: 'Bounds what repeats can add to the bill.',
  }),
  leastTokens: setting(count({ least: 0, most: 1_000_000_000 }), {
    default: 200_000,
    help: 'So many tokens in five minutes whatever the share says.',
    reason: 'One long prompt.',
  }),
})

export const retry = mapping({
  attempts: setting(count({ most: 10 }), {
    default: 3,
    help: 'Most attempts of a call, over all upstreams and models.',
    reason: 'Two failures in a row happen; after three, the next will fail too.',
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
    reason: 'Most limits go by within half a minute; official clients wait for up to a minute, and each of them by itself.',
  }),
  budget: v.optional(required(budget, { help: 'What repeats may cost, all calls together.' }), {}),
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
