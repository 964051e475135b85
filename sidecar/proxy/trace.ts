import { randomFillSync } from 'node:crypto'

/** Where a call stands among the spans of a trace (W3C Trace Context): others find our log line by it, and we theirs. */
export interface Trace {
  /** 32 hexadecimal digits. */
  readonly id: string
  /** Ours: 16 hexadecimal digits. */
  readonly span: string
  /** As `traceparent` has them. */
  readonly flags: string
  /** The client had begun it. */
  readonly continued: boolean
}

const zeros = /^0+$/

/**
 * Continues the trace that the client sent, or begins one where it sent none or none that is valid: then nobody knows what it meant. Our span
 * takes the place of the client's; the flags that say whether it is sampled stay.
 */
export function traceFrom(traceparent: string): Trace {
  const found = traceparent === '' ? null : /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(traceparent)
  if (found === null) return begun()
  const [, version = '', id = '', parent = '', flags = '', rest] = found
  // Of a version to come, what this one knows is read; of this one, nothing may follow.
  if (version === 'ff' || (version === '00' && rest !== undefined) || zeros.test(id) || zeros.test(parent)) return begun()
  // Two flags are known, sampled and random; the others are for versions to come.
  return { id, span: hex(8), flags: `0${Number.parseInt(flags, 16) & 3}`, continued: true }
}

/** Sampled, for our log keeps it; what comes behind us would otherwise stop to record what it recorded before there was a sidecar. */
const begun = (): Trace => ({ id: hex(16), span: hex(8), flags: '01', continued: false })

export const traceparentOf = ({ id, span, flags }: Trace): string => `00-${id}-${span}-${flags}`
export const isSampled = ({ flags }: Trace): boolean => flags === '01' || flags === '03'

/** Asking the system for a few bytes at a time costs more than the rest of a trace. */
const pool = Buffer.allocUnsafe(2_040)
let used = pool.length

function hex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const from = used
  used += bytes
  return pool.toString('hex', from, used)
}
