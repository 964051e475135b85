import { randomBytes } from 'node:crypto'

/** A token is about four characters of English: near enough for plausible bills. */
export function tokensOf(text: string): number {
  return Math.ceil(text.length / 4)
}

/** The text in the parts in which a model gives it: words with the space before them. Joined, they are the text again. */
export function piecesOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? []
}

/** Cuts an answer to the length a client allows; one piece counts as one token. */
export function limit(text: string, maxTokens: number | null | undefined): { pieces: string[]; whole: boolean } {
  const pieces = piecesOf(text)
  if (typeof maxTokens !== 'number' || maxTokens >= pieces.length) return { pieces, whole: true }
  return { pieces: pieces.slice(0, Math.max(1, maxTokens)), whole: false }
}

/** The text of a message's content, whichever way a client wrote it: a string, or parts of which some carry text. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (Array.isArray(content)) return content.map(textOf).filter(Boolean).join(' ')
  if (typeof content !== 'object' || content === null) return ''
  if ('text' in content) return textOf(content.text)
  return 'content' in content ? textOf(content.content) : ''
}

/** What the fake model says when nothing else is asked of it. */
export function replyTo(prompt: string): string {
  const words = prompt.trim().split(/\s+/).filter(Boolean)
  const quoted = words.length > 12 ? `${words.slice(0, 12).join(' ')} …` : words.join(' ')
  const heard = quoted === '' ? 'You sent me no words.' : `You said: “${quoted}”.`
  return `${heard} I am a fake model that lives in this process, so my answers are quick, free and not very clever.`
}

export function newId(prefix: string): string {
  return prefix + randomBytes(12).toString('hex')
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000)
}
