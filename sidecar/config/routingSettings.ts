import * as v from 'valibot'
import { canary } from './canarySettings.ts'
import { affinity, affinitySettings, pins } from './affinitySettings.ts'
import { headerName, name } from './kinds.ts'
import { mapping, named } from './mapping.ts'
import { modelName } from './modelSettings.ts'
import { peakEwma } from './peakEwmaSettings.ts'
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
  peakEwma: v.optional(required(peakEwma, { help: 'The numbers of peak_ewma.' }), {}),
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
    help: 'What becomes of a stream that breaks off when the client has part of it. continue: an upstream that continues goes on from there, else as splice. splice: an upstream says all again, and what the client has is left out as long as both agree, else as error. error: it ends with an error.',
    reason: 'An answer that comes whole is worth a second attempt, which counts for the budgets; and no text is ever made up to fit.',
  }),
})
