import type { Feature } from '../../config/modelSettings.ts'

export type { Feature }

type Fields = Readonly<Record<string, unknown>>

/** Deeper than any API nests the parts of a message. */
const deepest = 6

/**
 * What a call asks of a model that not every model can do. Read out of the whole body, which takes its time: asked for only where a model
 * that lacks something may take the place of another.
 */
export function featuresOf(body: Buffer): ReadonlySet<Feature> {
  let call: unknown
  try {
    call = JSON.parse(body.toString())
  } catch {
    return new Set()
  }
  return isFields(call) ? new Set([...ofOptions(call), ...ofMessages(call)]) : new Set()
}

function ofOptions(call: Fields): Feature[] {
  const has: Feature[] = []
  if (isFilled(call['tools']) || isFilled(call['functions'])) has.push('tools')
  if (call['stream'] === true) has.push('stream')
  if (typeof call['n'] === 'number' && call['n'] > 1) has.push('choices')
  // A number in the older completions.
  if (call['logprobs'] === true || typeof call['logprobs'] === 'number' || typeof call['top_logprobs'] === 'number') has.push('logprobs')
  if ([call['reasoning_effort'], call['reasoning'], call['thinking']].some((value) => value !== undefined && value !== null))
    has.push('reasoning')
  const formats = [call['response_format'], inner(call['text'], 'format'), inner(call['output_config'], 'format'), call['output_format']]
  if (formats.some((format) => inner(format, 'type') === 'json_schema')) has.push('schema')
  if (Array.isArray(call['modalities']) && call['modalities'].includes('audio')) has.push('audio')
  return has
}

function ofMessages(call: Fields): Feature[] {
  const messages = call['messages'] ?? call['input']
  if (!Array.isArray(messages)) return []
  const last: unknown = messages.at(-1)
  const has: Feature[] = inner(last, 'role') === 'assistant' ? ['prefill'] : []
  for (const type of typesIn(messages, deepest)) {
    const feature = byPart[type]
    if (feature !== undefined) has.push(feature)
  }
  return has
}

const byPart: Readonly<Record<string, Feature>> = {
  image_url: 'images',
  image: 'images',
  input_image: 'images',
  input_audio: 'audio',
  file: 'files',
  input_file: 'files',
  document: 'files',
}

function typesIn(value: unknown, depth: number): string[] {
  if (depth === 0) return []
  if (Array.isArray(value)) return value.flatMap((item) => typesIn(item, depth - 1))
  if (!isFields(value)) return []
  const { type, content } = value
  return [...(typeof type === 'string' ? [type] : []), ...typesIn(content, depth - 1)]
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)
const inner = (value: unknown, name: string): unknown => (isFields(value) ? value[name] : undefined)
const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0
