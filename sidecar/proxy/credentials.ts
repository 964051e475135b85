import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { watchFiles } from '../config/watchFiles.ts'
import { SidecarError } from './errors.ts'
import type { Key } from './layers/credential.ts'

/** Where a credential comes from: exactly one of the three. */
export interface Source {
  readonly file?: string | undefined
  readonly env?: string | undefined
  readonly value?: string | undefined
}

export interface Credential extends Key {
  readonly close: () => void
}

export interface CredentialOptions {
  readonly name: string
  readonly source: Source
  readonly env: Readonly<Record<string, string | undefined>>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
}

/** A named key, read again whenever its file changes. A key that cannot be used is refused with the reason, and the last good one stays. */
export function openCredential({ name, source, env, say }: CredentialOptions): Credential {
  const { file } = source
  const where = file !== undefined ? `file ${file}` : source.env !== undefined ? `environment variable ${source.env}` : 'the config itself'
  let key: string | undefined
  let refusal = ''

  const take = (raw: string | undefined, first: boolean): void => {
    const judged = raw === undefined ? { refusal: 'is not there' } : judge(raw)
    if (judged.key === undefined) {
      refusal = `credential "${name}": ${where} ${judged.refusal}`
      say('error', key === undefined ? refusal : `${refusal}; the key from before stays in use`)
      return
    }
    if (judged.warning !== undefined) say('warn', `credential "${name}": ${where} ${judged.warning}`)
    if (!first && judged.key !== key) say('info', `credential "${name}" has changed; calls from now on use the new key`)
    key = judged.key
  }

  const readAgain = async (): Promise<void> => {
    if (file === undefined) return
    take(await readFile(file, 'utf8').catch(() => undefined), false)
  }

  take(file !== undefined ? readNow(file) : source.env !== undefined ? env[source.env] : source.value, true)
  const watched = file === undefined ? undefined : watchFiles([file], () => void readAgain())
  return {
    current: () => {
      if (key === undefined) throw new SidecarError('no_credential', refusal)
      return key
    },
    refresh: async () => {
      const before = key
      // Compared before it is taken, so that a 401 with an unchanged file says nothing new.
      const raw = file === undefined ? undefined : await readFile(file, 'utf8').catch(() => undefined)
      if (raw !== undefined && judge(raw).key !== before) take(raw, false)
      return key
    },
    close: () => {
      watched?.close()
    },
  }
}

function readNow(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

interface Judged {
  readonly key?: string
  readonly warning?: string
  readonly refusal?: string
}

/** What usually goes wrong when a key is put into a Secret by hand. Never says anything of the key itself. */
function judge(raw: string): Judged {
  const key = raw.trim()
  if (key === '') return { refusal: 'is empty' }
  if (/[\r\n]/.test(key)) return { refusal: 'holds more than one line; a key is one line' }
  if (
    /^(?:<.*>|\$\{.*\}|(?:your|my)[-_ ].*|.*[-_ ](?:your|my)[-_ ].*key.*|changeme|change-me|replace[-_ ]?me|x{4,}|todo|placeholder|dummy)$/i.test(
      key,
    )
  ) {
    return { refusal: 'holds a placeholder, not a key' }
  }
  if (/[^\x21-\x7e]/.test(key))
    return { refusal: 'holds a character that cannot stand in a header (a space, a control or a non-ASCII character)' }
  return raw === key ? { key } : { key, warning: 'has white space around the key; it was trimmed (made with "echo" instead of "echo -n"?)' }
}
