/** The kinds of call we tell apart, in logs and where a rule differs. */
export type Operation = 'chat' | 'completions' | 'responses' | 'messages' | 'embeddings' | 'models' | 'stats' | 'health' | 'other'

const byPath: Readonly<Record<string, Operation>> = {
  '/chat/completions': 'chat',
  '/chat/completions/stream': 'chat',
  '/completions': 'completions',
  '/responses': 'responses',
  '/messages': 'messages',
  '/embeddings': 'embeddings',
  '/models': 'models',
  '/stats': 'stats',
}

export function operationOf(path: string): Operation {
  const query = path.indexOf('?')
  return byPath[query < 0 ? path : path.slice(0, query)] ?? 'other'
}

/** Whose events a stream is made of: one that is taken up again is a stream like the first. */
export function streamOperation(path: string | undefined): Operation {
  const operation = operationOf(path ?? '')
  return operation === 'other' && /^\/responses\/[^/?]+(?:\?|$)/.test(path ?? '') ? 'responses' : operation
}

/** Anthropic's clients understand only Anthropic's error shape. */
export const isAnthropic = (path: string | undefined): boolean => path !== undefined && /^\/messages(?:[/?]|$)/.test(path)

/** Calls whose body is an object of JSON that names a model. */
export const namesModel = (operation: Operation): boolean => generates(operation) || operation === 'embeddings'

/** Calls that a model answers with text. */
export const generates = (operation: Operation): boolean =>
  operation === 'chat' || operation === 'completions' || operation === 'responses' || operation === 'messages'
