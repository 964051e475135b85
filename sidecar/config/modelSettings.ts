import * as v from 'valibot'
import { count } from './kinds.ts'
import { mapping } from './mapping.ts'
import { versionPattern } from './semanticVersion.ts'
import { optional, required } from './setting.ts'

const aModelName = 'must be the name of a model: printable ASCII without spaces, at most 200 characters'
export const modelName = v.pipe(v.string(aModelName), v.regex(/^[\x21-\x7e]{1,200}$/, aModelName))

// A version such as 1.10 is a number to YAML, and to JSON without quotes.
const aVersion = 'must be a semantic version such as 1.4.0 or 2.0.0-rc.1'
const version = v.pipe(v.string(aVersion), v.maxLength(100, aVersion), v.regex(versionPattern, aVersion))

const aPrice = 'must be dollars for a million tokens: a number from 0 to 100000, without quotes'
const price = v.pipe(v.number(aPrice), v.minValue(0, aPrice), v.maxValue(100_000, aPrice))

const tokens = count({ most: 1_000_000_000 })

const aTemperature = 'must be a number from 0 to 2, without quotes'
const temperature = v.pipe(v.number(aTemperature), v.minValue(0, aTemperature), v.maxValue(2, aTemperature))

/** What not every model can do. */
export const features = ['tools', 'prefill', 'images', 'audio', 'files', 'schema', 'stream', 'choices', 'logprobs', 'reasoning'] as const
export type Feature = (typeof features)[number]
const feature = v.picklist(features, `must be one of ${features.join(', ')}`)

const model = mapping({
  name: required(modelName, { help: 'What clients ask for.' }),
  version: optional(version, { help: 'Semantic version of this entry; `validate --against OLD` refuses one that goes backwards.' }),
  price: optional(
    mapping({
      input: required(price, { help: 'Dollars for a million tokens sent.' }),
      output: required(price, { help: 'Dollars for a million tokens received.' }),
      cached: optional(price, {
        help: 'Dollars for a million tokens sent that the upstream had cached; the price of input where it is left out.',
      }),
    }),
    { help: 'What it costs.' },
  ),
  limits: optional(
    mapping({
      context: optional(tokens, { help: 'Most tokens of a call, sent and received together.' }),
      output: optional(tokens, { help: 'Most tokens it answers with.' }),
    }),
    { help: 'What it takes.' },
  ),
  lacks: optional(v.pipe(v.array(feature, 'must be a list of features'), v.minLength(1, 'is empty: leave it out')), {
    help: 'What it cannot do: tools, prefill (a last message of the assistant), images, audio, files, schema (JSON by a schema), stream, choices (n above 1), logprobs, reasoning. As a fallback it is passed over for calls that ask for that.',
  }),
  defaults: optional(
    mapping({
      maxTokens: optional(tokens, { help: 'The most tokens of an answer, where the client set no such limit.' }),
      temperature: optional(temperature, { help: 'The temperature, where the client set none.' }),
    }),
    { help: 'What is put into calls that leave it open.' },
  ),
})

export const models = v.array(model, 'must be a list of models')
