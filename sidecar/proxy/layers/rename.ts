import { isUpload, type Call, type Layer } from '../call.ts'
import { editBody, type BodyEdits } from '../llm/edit.ts'
import { namesModel, type Operation } from '../llm/operation.ts'

export interface ModelDefaults {
  readonly maxTokens?: number | undefined
  readonly temperature?: number | undefined
}

export interface RenameOptions {
  /** What this upstream calls models that clients call otherwise. */
  readonly modelNames: Readonly<Record<string, string>>
  /** What is put into calls for a model that leave it open. */
  readonly defaultsOf: (model: string) => ModelDefaults | undefined
}

/**
 * Puts the upstream's own name of the model into the body, and the defaults of the model where the call left them open. Spliced in, so that
 * every other byte stays what the client sent; the answer says what was edited.
 */
export function rename({ modelNames, defaultsOf }: RenameOptions): Layer {
  return (next) => (call) => {
    const { plan, body, facts } = call
    if (plan === undefined || body === undefined || isUpload(body) || plan.model === '' || !namesModel(facts.operation)) return next(call)
    const name = Object.hasOwn(modelNames, plan.model) ? (modelNames[plan.model] ?? plan.model) : plan.model
    facts.served = name
    const defaults = facts.operation === 'embeddings' ? undefined : defaultsOf(plan.model)
    if (name === facts.model && defaults === undefined) return next(call)
    return withEdits(call, body, { name, defaults }, next)
  }
}

interface Wanted {
  readonly name: string
  readonly defaults: ModelDefaults | undefined
}

async function withEdits(call: Call, body: Buffer, { name, defaults }: Wanted, next: Parameters<Layer>[0]): ReturnType<ReturnType<Layer>> {
  const edits: string[] = []
  let edited = body
  const edit = (what: string, wanted: BodyEdits): void => {
    const made = editBody(edited, wanted)
    if (made === undefined || made === edited) return
    edited = made
    edits.push(what)
  }
  const { operation } = call.facts
  edit('model', { model: name })
  if (defaults?.maxTokens !== undefined) edit('max_tokens', { defaults: [{ names: limitNames(operation), value: defaults.maxTokens }] })
  if (defaults?.temperature !== undefined) edit('temperature', { defaults: [{ names: ['temperature'], value: defaults.temperature }] })
  if (edits.length === 0) return next(call)
  const reply = await next({ ...call, body: edited })
  return { ...reply, own: [...(reply.own ?? []), 'x-outrider-edited', edits.join(', ')] }
}

/** The first is the one that every server of that API knows. */
function limitNames(operation: Operation): readonly string[] {
  if (operation === 'responses') return ['max_output_tokens']
  return operation === 'chat' ? ['max_tokens', 'max_completion_tokens'] : ['max_tokens']
}
