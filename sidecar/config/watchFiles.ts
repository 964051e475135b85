import { watch, type FSWatcher } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface Watched {
  readonly close: () => void
}

/** inotify can be exhausted or missing; then, and for file systems that tell nothing, looking now and then still finds a change. */
const lookAgainMs = 10_000
/** Editors write in several steps, and Kubernetes swaps a link: one look after the last step is enough. */
const settleMs = 50

/**
 * Calls `changed` after the content of one of `paths` has changed. Folders are watched, not files: Kubernetes replaces a mounted Secret by
 * swapping the `..data` link beside it, and editors replace a file by renaming another over it.
 */
export function watchFiles(paths: readonly string[], changed: () => void): Watched {
  const watchers: FSWatcher[] = []
  let before: string | undefined
  let settle: NodeJS.Timeout | undefined
  let closed = false
  const content = async (): Promise<string> => (await Promise.all(paths.map((path) => readFile(path, 'latin1').catch(() => '')))).join('\0')
  const look = async (): Promise<void> => {
    const now = await content()
    if (closed || now === before) return
    const first = before === undefined
    before = now
    if (!first) changed()
  }
  const soon = (): void => {
    clearTimeout(settle)
    settle = setTimeout(() => void look(), settleMs)
    settle.unref()
  }
  for (const folder of new Set(paths.map((path) => dirname(path)))) {
    try {
      const watcher = watch(folder, { persistent: false }, soon)
      watcher.on('error', () => {
        watcher.close()
      })
      watchers.push(watcher)
    } catch {
      // The interval below finds the change a little later.
    }
  }
  const interval = setInterval(() => void look(), lookAgainMs)
  interval.unref()
  void look()
  return {
    close: () => {
      closed = true
      clearTimeout(settle)
      clearInterval(interval)
      for (const watcher of watchers) watcher.close()
    },
  }
}
