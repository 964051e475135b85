import { hash } from 'node:crypto'
import { readFileSync, statSync, watch, type FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import { foldersTo } from './foldersTo.ts'

export interface Watched {
  readonly close: () => void
}

/** File systems that tell nothing exist; looking now and then still finds a change. */
const lookAgainMs = 10_000
/** Where nothing can be watched (the folder is not there yet, inotify is exhausted), looking is all there is. */
const lookBlindMs = 1_000
/** Editors write in several steps, and Kubernetes swaps a link: one look after the last step is enough. */
const settleMs = 50
/** A folder in which something is always written must not put the look off for ever. */
const settleAtMostMs = 500

/**
 * Calls `changed` after the content of one of `paths` has changed. Folders are watched, not files: Kubernetes replaces a mounted Secret by
 * swapping the `..data` link beside it, and editors replace a file by renaming another over it. What it compares with is read before it
 * returns: read the files after that, and no change falls in between.
 */
export function watchFiles(paths: readonly string[], changed: () => void): Watched {
  const watchers = new Map<string, FSWatcher>()
  let before = fingerprint(paths)
  let settle: NodeJS.Timeout | undefined
  let settleBy = 0
  let again: NodeJS.Timeout | undefined

  const look = (): void => {
    clearTimeout(settle)
    settle = undefined
    clearTimeout(again)
    again = setTimeout(look, arm() ? lookAgainMs : lookBlindMs)
    again.unref()
    const now = fingerprint(paths)
    if (now === before) return
    before = now
    changed()
  }

  const soon = (): void => {
    const now = performance.now()
    if (settle === undefined) settleBy = now + settleAtMostMs
    clearTimeout(settle)
    settle = setTimeout(look, Math.max(0, Math.min(settleMs, settleBy - now)))
    settle.unref()
  }

  /** Watches the folders as they are now: one that was replaced has a new identity. False when one of them cannot be watched. */
  const arm = (): boolean => {
    const wanted = new Map(foldersOf(paths).map((folder) => [identity(folder), folder]))
    for (const [id, watcher] of watchers) {
      if (wanted.has(id)) continue
      watchers.delete(id)
      watcher.close()
    }
    for (const [id, folder] of wanted) if (id !== undefined && !watchers.has(id)) armOne(id, folder)
    return [...wanted.keys()].every((id) => id !== undefined && watchers.has(id))
  }

  const armOne = (id: string, folder: string): void => {
    try {
      const watcher = watch(folder, { persistent: false }, soon)
      watchers.set(id, watcher)
      watcher.on('error', () => {
        watcher.close()
        if (watchers.get(id) === watcher) watchers.delete(id)
        soon()
      })
    } catch {
      // Looked at each second instead.
    }
  }

  again = setTimeout(look, arm() ? lookAgainMs : lookBlindMs)
  again.unref()
  return {
    close: () => {
      clearTimeout(settle)
      clearTimeout(again)
      for (const watcher of watchers.values()) watcher.close()
      watchers.clear()
    },
  }
}

/** With the folder of each path itself: while that is not there, nothing tells when it comes. */
const foldersOf = (paths: readonly string[]): string[] => paths.flatMap((path) => [dirname(path), ...foldersTo(path)])

function identity(folder: string): string | undefined {
  try {
    const { dev, ino } = statSync(folder)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}

/** A hash, so that no second copy of a key lies in memory. A file that cannot be read differs from an empty one, and by why it cannot. */
function fingerprint(paths: readonly string[]): string {
  return paths
    .map((path) => {
      try {
        // A pipe in place of a file would be waited for.
        return statSync(path).isFile() ? hash('sha256', readFileSync(path)) : 'no file'
      } catch (err) {
        return (err as NodeJS.ErrnoException).code ?? 'unreadable'
      }
    })
    .join(' ')
}
