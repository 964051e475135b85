import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Place } from '../machine/place.ts'

export type Resource = {
  readonly kind?: string
  readonly metadata: { readonly name: string; readonly resourceVersion?: string; readonly [field: string]: unknown }
  // oxlint-disable-next-line typescript/no-explicit-any -- what the API server sends is read by its paths, as in kubectl
  readonly [field: string]: any
}

type List = { readonly metadata: { readonly resourceVersion: string }; readonly items: readonly Resource[] }

export type Api = {
  readonly list: (path: string, query?: Query) => Promise<readonly Resource[]>
  readonly get: (path: string) => Promise<string>
  readonly send: (method: 'POST' | 'DELETE', path: string, body?: object) => Promise<string>
  /** Everything under a path, now and at each change, until `look` has found something or the time is over. */
  readonly watch: <Found>(path: string, query: Query, options: WatchOptions<Found>) => Promise<Found>
  /** The first line of a text that grows, such as a log, which is as wanted. */
  readonly lines: (path: string, options: LineOptions) => Promise<string>
}

export type LineOptions = { readonly what: string; readonly boundMs: number; readonly wanted: RegExp }

export type Query = Readonly<Record<string, string>>

export type WatchOptions<Found> = {
  readonly what: string
  readonly boundMs: number
  /** Undefined as long as nothing is found. */
  readonly look: (all: readonly Resource[]) => Found | undefined
}

const callMs = 30_000

/** The API server, as the cluster's admin. */
export function apiOf(place: Place): Api {
  const read = (name: string) => readFileSync(join(place.folder, 'pki', name))
  const agent = new Agent({ keepAlive: true, ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') })

  async function call(method: string, path: string, body?: object, signal = AbortSignal.timeout(callMs)): Promise<IncomingMessage> {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const res = await new Promise<IncomingMessage>((resolve, reject) => {
      const req = request(`${place.apiServer}${path}`, { agent, method, headers, signal }, resolve)
      req.on('error', reject)
      req.end(body === undefined ? undefined : JSON.stringify(body))
    })
    if ((res.statusCode ?? 0) >= 300) throw new Error(`${method} ${path}: ${res.statusCode} ${await text(res)}`)
    return res
  }

  async function whole(path: string, query: Query): Promise<List> {
    return JSON.parse(await text(await call('GET', withQuery(path, query))))
  }

  async function watch<Found>(path: string, query: Query, { what, boundMs, look }: WatchOptions<Found>): Promise<Found> {
    const signal = AbortSignal.timeout(boundMs)
    let all = new Map<string, Resource>()
    try {
      for (;;) {
        const { items, metadata } = await whole(path, query)
        all = new Map(items.map((item) => [item.metadata.name, item]))
        const found = look([...all.values()]) ?? (await follow(all, metadata.resourceVersion))
        if (found !== undefined) return found
      }
    } catch (err) {
      if (!signal.aborted) throw err
      throw new Error(`${what}: not within ${boundMs / 1_000} s. Last seen: ${summary([...all.values()])}`, { cause: err })
    }

    async function follow(known: Map<string, Resource>, resourceVersion: string): Promise<Found | undefined> {
      const res = await call('GET', withQuery(path, { ...query, resourceVersion, watch: '1' }), undefined, signal)
      try {
        for await (const line of linesOf(res)) {
          const { type, object }: { type: string; object: Resource } = JSON.parse(line)
          // Too old a version, for instance: begin anew.
          if (type === 'ERROR') return undefined
          if (type === 'DELETED') known.delete(object.metadata.name)
          else known.set(object.metadata.name, object)
          const found = look([...known.values()])
          if (found !== undefined) return found
        }
        signal.throwIfAborted()
        return undefined
      } finally {
        res.destroy()
      }
    }
  }

  async function lines(path: string, { what, boundMs, wanted }: LineOptions): Promise<string> {
    const signal = AbortSignal.timeout(boundMs)
    const said: string[] = []
    const res = await call('GET', path, undefined, signal)
    try {
      for await (const line of linesOf(res)) {
        if (wanted.test(line)) return line
        said.push(line)
      }
    } catch (err) {
      if (!signal.aborted) throw err
    } finally {
      res.destroy()
    }
    throw new Error(`${what}: not within ${boundMs / 1_000} s, or before it ended. Last said: ${said.slice(-10).join(' | ')}`)
  }

  return {
    lines,
    list: async (path, query = {}) => (await whole(path, query)).items,
    get: async (path) => text(await call('GET', path)),
    send: async (method, path, body) => text(await call(method, path, body)),
    watch,
  }
}

function withQuery(path: string, query: Query): string {
  return `${path}?${new URLSearchParams(query).toString()}`
}

async function* linesOf(res: IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of res.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

/** What a person would look at first. */
function summary(all: readonly Resource[]): string {
  if (all.length === 0) return 'nothing'
  return all.map(({ metadata, status }) => `${metadata.name} ${JSON.stringify(status ?? {})}`.slice(0, 2_000)).join('; ')
}
