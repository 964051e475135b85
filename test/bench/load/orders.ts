/** What the bench asks of the load process, and what it hears back. */

export type Target = { readonly port: number; readonly key: string; readonly headers: Readonly<Record<string, string>> }

export type Order =
  | { readonly do: 'closed'; readonly target: Target; readonly connections: number; readonly ms: number }
  | { readonly do: 'rate'; readonly target: Target; readonly perSecond: number; readonly ms: number }
  | { readonly do: 'open'; readonly target: Target; readonly streams: number; readonly events: number; readonly everyMs: number }
  | { readonly do: 'count' }
  | { readonly do: 'close' }

export type CallFigures = {
  readonly calls: number
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly perSecond: number
}

/** `ended` counts the streams that came to their end, `failed` those that broke. */
export type StreamFigures = { readonly open: number; readonly events: number; readonly ended: number; readonly failed: number }

export type Answer<O extends Order> = O extends { do: 'closed' | 'rate' } ? CallFigures : StreamFigures
