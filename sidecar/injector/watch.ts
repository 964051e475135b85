import timers from 'node:timers/promises'
import type { Kube, KubeObject } from './kube.ts'
import { KubeError } from './kubeError.ts'

export interface WatchOptions {
  readonly kube: Kube
  /** Of the collection. */
  readonly path: string
  /** `fieldSelector`, `labelSelector`. */
  readonly query: Readonly<Record<string, string>>
  /** With what there is now, after each change and each list. */
  readonly changed: (objects: ReadonlyMap<string, KubeObject>) => void
  readonly troubled: (message: string) => void
}

export interface Watching {
  /** How long ago the API server last said anything, in seconds; since the start where it never did. */
  readonly ageSeconds: () => number
  readonly close: () => void
}

const firstWaitMs = 200
const longestWaitMs = 30_000
/** A watch ends after this long at the latest and everything is listed anew: whatever was missed comes right by then. */
const watchSeconds = 290
/** Bookmarks come about each minute. */
const silenceMs = 150_000

/**
 * Keeps a copy of some objects. Unlike an informer of client-node it goes on after any error: it lists again after a wait that doubles, with
 * jitter, so that replicas do not come back all at once.
 */
export function watch({ kube, path, query, changed, troubled }: WatchOptions): Watching {
  const closing = new AbortController()
  const { signal } = closing
  let lastMs = performance.now()
  const heard = (): void => {
    lastMs = performance.now()
  }

  const listAndWatch = async (): Promise<void> => {
    const list = (await kube.ask({ path, query })) as { items?: KubeObject[]; metadata?: { resourceVersion?: string } }
    if (!Array.isArray(list.items)) throw new KubeError(`${path}: the answer of ${kube.server} is not a list`)
    const objects = new Map(list.items.map((one) => [one.metadata.name, one]))
    heard()
    changed(objects)
    const more = {
      ...query,
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion: list.metadata?.resourceVersion ?? '',
      timeoutSeconds: String(watchSeconds - Math.floor(Math.random() * 60)),
    }
    const onLine = (line: string): void => {
      heard()
      if (apply(objects, JSON.parse(line) as WatchEvent, path)) changed(objects)
    }
    await kube.stream({ path, query: more }, { onLine, signal, silenceMs })
  }

  const forever = async (): Promise<void> => {
    let waitMs = firstWaitMs
    while (!signal.aborted) {
      const beganMs = performance.now()
      try {
        await listAndWatch()
        waitMs = firstWaitMs
      } catch (err) {
        if (signal.aborted) return
        // One that had held for some time is no sign of a server in trouble.
        if (performance.now() - beganMs > longestWaitMs) waitMs = firstWaitMs
        troubled(`${(err as Error).message}; listing again`)
        waitMs = Math.min(longestWaitMs, waitMs * 2)
      }
      await timers.setTimeout(waitMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {})
    }
  }

  void forever()
  return {
    ageSeconds: () => (performance.now() - lastMs) / 1_000,
    close: () => {
      closing.abort()
    },
  }
}

interface WatchEvent {
  readonly type: string
  readonly object: KubeObject & { readonly message?: string; readonly code?: number }
}

/** Whether the copy has changed. */
function apply(objects: Map<string, KubeObject>, { type, object }: WatchEvent, path: string): boolean {
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      objects.set(object.metadata.name, object)
      return true
    case 'DELETED':
      return objects.delete(object.metadata.name)
    case 'BOOKMARK':
      return false
    default:
      throw new KubeError(`${path}: the watch ended with ${type}: ${object.message ?? ''}`, object.code)
  }
}
