import { dirname } from 'node:path'
import { readdir, readFile, stat } from '../files.ts'

/** What was found where a key should be. Never both, and `refusal` never says anything of a key itself. */
export interface Found {
  readonly raw?: string
  /** Completes a sentence that begins with the name of the file. */
  readonly refusal?: string
}

/** Real keys have a few hundred bytes, tokens a few thousand. */
const longestKey = 16 * 1024
const mostNames = 10

/** Reads the file of a key. What goes wrong is told apart, because each has another remedy. */
export async function readKeyFile(file: string): Promise<Found> {
  try {
    const found = await stat(file)
    if (found.isDirectory()) return { refusal: `is a folder, not a file${await namesIn(file, 'it holds')}` }
    // A pipe would be waited for without end.
    if (!found.isFile()) return { refusal: 'is no ordinary file' }
    if (found.size > longestKey) return { refusal: `is larger than any key (${found.size} bytes)` }
    return { raw: await readFile(file, 'utf8') }
  } catch (err) {
    return { refusal: await faultOf(file, (err as NodeJS.ErrnoException).code) }
  }
}

async function faultOf(file: string, code: string | undefined): Promise<string> {
  switch (code) {
    case 'ENOENT':
      return `does not exist${await namesIn(dirname(file), 'its folder holds')}`
    case 'ENOTDIR':
      return 'does not exist: a part of its path is a file, not a folder'
    case 'EACCES':
    case 'EPERM':
      return 'cannot be read: permission denied'
    default:
      return `cannot be read (${code ?? 'for an unknown reason'})`
  }
}

/** A Secret with its keys under other names than expected is the commonest mistake, and the names show it at once. */
async function namesIn(folder: string, lead: string): Promise<string> {
  try {
    // What begins with two dots is how Kubernetes swaps a mounted Secret, and nobody's key.
    const names = (await readdir(folder)).filter((name) => !name.startsWith('..')).toSorted()
    if (names.length === 0) return lead === 'it holds' ? '' : ', and its folder is empty'
    const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : ''
    return `; ${lead}: ${names.slice(0, mostNames).map(shown).join(', ')}${more}`
  } catch (err) {
    return (err as NodeJS.ErrnoException).code === 'ENOENT' ? ', nor does its folder: is the Secret mounted?' : ''
  }
}

/** A key that somebody took for the name of its entry must not be told. */
const shown = (name: string): string => (/^(?!sk-)[\w.-]{1,40}$/.test(name) ? name : `a name of ${name.length} characters`)
