import { isUpload, type Call, type Layer } from '../call.ts'
import { edited, type Edits } from '../llm/edit.ts'

export interface ModelDefaults {
  readonly maxTokens?: number
  readonly temperature?: number
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
    if (plan === undefined || body === undefined || isUpload(body) || plan.model === '') return next(call)
    const name = Object.hasOwn(modelNames, plan.model) ? (modelNames[plan.model] ?? plan.model) : plan.model
    facts.served = name
    const defaults = defaultsOf(plan.model)
    if (name === facts.model && defaults === undefined) return next(call)
    return withEdits(call, body, { model: name, ...defaults }, next)
  }
}

async function withEdits(call: Call, body: Buffer, wanted: Edits, next: Parameters<Layer>[0]): ReturnType<ReturnType<Layer>> {
  const made = edited(body, call.facts.operation, wanted)
  if (made === undefined || made.names.length === 0) return next(call)
  const reply = await next({ ...call, body: made.body })
  return { ...reply, own: [...(reply.own ?? []), 'x-outrider-edited', made.names.join(', ')] }
}
