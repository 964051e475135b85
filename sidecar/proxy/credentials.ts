import { watchFiles } from '../config/watchFiles.ts'
import { SidecarError } from './errors.ts'
import { readKeyFile, type Found } from './keyFile.ts'
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
  /** For tests. */
  readonly readFile?: (file: string) => Promise<Found>
}

/** A named key, read again whenever its file changes. A key that cannot be used is refused with the reason, and the last good one stays. */
export async function openCredential({ name, source, env, say, readFile = readKeyFile }: CredentialOptions): Promise<Credential> {
  const { file } = source
  const where =
    file !== undefined ? `file ${file}` : source.env !== undefined ? `environment variable ${source.env}` : 'the value in the config'
  let key: string | undefined
  let refusal = ''
  let reading: Promise<void> | undefined
  let closed = false

  const take = ({ raw, refusal: why }: Found): void => {
    const judged = raw === undefined ? { refusal: why ?? 'is not set' } : judge(raw)
    if (judged.key === undefined) {
      const before = refusal
      refusal = `credential "${name}": ${where} ${judged.refusal}`
      // Said once, not with every 401 and every look.
      if (refusal !== before) say('error', key === undefined ? refusal : `${refusal}; the key from before stays in use`)
      return
    }
    const isNews = judged.key !== key
    if (isNews && judged.warning !== undefined) say('warn', `credential "${name}": ${where} ${judged.warning}`)
    if (isNews && key !== undefined) say('info', `credential "${name}" has changed; calls from now on use the new key`)
    else if (refusal !== '') say('info', `credential "${name}": ${where} can be used now`)
    refusal = ''
    key = judged.key
  }

  /** Whoever asks while the file is being read shares that reading: a thousand calls refused at once read it once. */
  const readAgain = (path: string): Promise<void> => {
    reading ??= readFile(path).then((found) => {
      reading = undefined
      if (!closed) take(found)
    })
    return reading
  }

  if (file === undefined) {
    const raw = source.env === undefined ? source.value : env[source.env]
    take(raw === undefined ? {} : { raw })
    return { current: () => usable(key, refusal), refresh: () => Promise.resolve(key), close: () => {} }
  }
  // Before the first reading, so that no change falls between the two. A reading that was under way may have seen the file as it was.
  const watched = watchFiles([file], () => {
    void Promise.resolve(reading).then(() => readAgain(file))
  })
  await readAgain(file)
  return {
    current: () => usable(key, refusal),
    refresh: async () => {
      await readAgain(file)
      return key
    },
    close: () => {
      closed = true
      watched.close()
    },
  }
}

function usable(key: string | undefined, refusal: string): string {
  if (key === undefined) throw new SidecarError('no_credential', refusal)
  return key
}

interface Judged {
  readonly key?: string
  readonly warning?: string
  readonly refusal?: string
}

const placeholder = new RegExp(
  [
    '<.*>',
    '\\$?\\{.*\\}',
    '(?:.*[-_ ])?your[-_ ].*',
    '(?:.*[-_ ])?my[-_ ](?:api[-_ ]?|secret[-_ ]?)?key(?:[-_ ]here)?',
    '(?:sk[-_])?x{4,}',
    '(?:sk-)?\\.{3,}',
    '(?:sk[-_])?(?:change[-_ ]?me|replace[-_ ]?me|todo|placeholder|dummy|insert[-_ ].*|api[-_]?key)',
  ]
    .map((form) => `^${form}$`)
    .join('|'),
  'i',
)

/** What usually goes wrong when a key is put into a Secret by hand. Never says anything of the key itself. */
function judge(raw: string): Judged {
  const key = raw.trim()
  if (key === '') return { refusal: 'is empty' }
  if (/[\r\n]/.test(key)) return { refusal: 'holds more than one line; a key is one line' }
  if (placeholder.test(key)) return { refusal: 'holds a placeholder, not a key' }
  if (/[^\x21-\x7e]/.test(key))
    return { refusal: 'holds a character that cannot stand in a header (a space, a control or a non-ASCII character)' }
  return raw === key ? { key } : { key, warning: 'has white space around the key; it was trimmed (made with "echo" instead of "echo -n"?)' }
}
