import type { Config } from '../../config/config.ts'
import { readKeyFile } from '../keyFile.ts'

/** The token that a change must show, or why there is none; that completes a sentence that begins with the name of the file. */
export type ControlToken = { readonly token: string } | { readonly refusal: string }

export async function readToken(file: string): Promise<ControlToken> {
  const { raw, refusal } = await readKeyFile(file)
  const token = raw?.trim() ?? ''
  if (token === '') return { refusal: refusal ?? 'is empty' }
  // Anything else cannot be shown in a header.
  return /^[\x21-\x7e]+$/.test(token) ? { token } : { refusal: 'holds no token: that is one word of plain ASCII' }
}

/**
 * What is wrong with the file of the token, for who starts the sidecar or looks at its config, and not for the first who wants to change
 * something. Undefined where it can be used or is not asked for.
 */
export async function tokenCaution({ control: { off, tokenFile } }: Config): Promise<string | undefined> {
  if (off || tokenFile === undefined) return undefined
  const found = await readToken(tokenFile)
  if ('token' in found) return undefined
  const end = found.refusal.endsWith('?') ? '' : '.'
  return `${tokenFile} ${found.refusal}${end} Nothing can be changed on the control port until it holds the token; it is read with each change, so it may come later.`
}

/** At the start, and when a new config names another file than the one `before`. */
export async function tellToken(
  config: Config,
  before: Config['control'] | undefined,
  say: (level: 'warn', message: string) => void,
): Promise<void> {
  if (config.control.tokenFile === before?.tokenFile) return
  const caution = await tokenCaution(config)
  if (caution !== undefined) say('warn', `control.tokenFile: ${caution}`)
}
