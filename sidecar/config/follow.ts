import type { Parsed } from './config.ts'
import { watchFiles, type Watched } from './watchFiles.ts'

/** A config that can be read again. */
export interface Followed {
  /** What messages call it. */
  readonly name: string
  readonly load: () => Promise<Parsed>
  /** Who hears that it has changed; at once, if it has since it was opened. */
  readonly onChange: (changed: () => void) => void
  /** Looks at these files too, from now on and in place of others named before; false when that is nothing new. */
  readonly watchToo: (files: readonly string[]) => boolean
  readonly close: () => void
}

/** Follows the file of a config; to be called before the first reading, so that no change falls between the two. */
export function followConfig(file: string, load: () => Promise<Parsed>): Followed {
  let missed = false
  let tell = (): void => {
    missed = true
  }
  const watch = (files: readonly string[]): Watched => watchFiles(files, () => tell())
  let watched = watch([file])
  let others: readonly string[] = []
  let closed = false
  return {
    name: file,
    load,
    onChange: (changed) => {
      tell = changed
      if (missed) changed()
    },
    watchToo: (files) => {
      if (closed || (files.length === others.length && files.every((one) => others.includes(one)))) return false
      others = files
      const before = watched
      watched = watch([file, ...files])
      before.close()
      return true
    },
    close: () => {
      closed = true
      watched.close()
    },
  }
}
