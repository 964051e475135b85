const lf = 0x0a
const cr = 0x0d

/**
 * Just behind the last event of `bytes` that is complete; 0 when none is. `last` is the byte before `bytes`, or -1 at the start of the
 * stream. An event ends with a blank line, a line with LF, CR or CRLF. Searched from the end, where it nearly always is.
 */
export function wholeUpTo(bytes: Buffer, last: number): number {
  for (let at = bytes.length - 1; at >= 0; at--) {
    const byte = bytes[at]
    if (byte !== lf && byte !== cr) continue
    const before = at > 0 ? bytes[at - 1] : last
    const blank = byte === lf ? before === lf : before === lf || before === cr
    if (!blank && before !== -1) continue
    return byte === cr && bytes[at + 1] === lf ? at + 2 : at + 1
  }
  return 0
}

/** Cuts a stream into what may leave at once, and an unfinished event that may not. */
export interface Cutter {
  /** What may leave now that these bytes are here: whole events, or a part of one too long to keep; undefined for nothing. */
  readonly take: (bytes: Buffer) => Buffer | undefined
  /** The beginning of an unfinished event. */
  readonly left: () => Buffer
  /** True while an event too long to keep passes in parts. */
  readonly passing: () => boolean
}

/** A read that holds exactly whole events, as nearly all do, comes out as the same Buffer: nothing is copied or allocated for it. */
export function cutter(longestBytes: number): Cutter {
  let kept: Buffer = nothing
  let bytesKept = 0
  let ours = false
  let last = -1
  let passing = false

  const keep = (bytes: Buffer): void => {
    const needed = bytesKept + bytes.length
    if (bytesKept === 0) {
      kept = bytes
      ours = false
    } else {
      if (!ours || needed > kept.length) grow(needed)
      bytes.copy(kept, bytesKept)
    }
    bytesKept = needed
  }

  /** Grows by doubling: an event that comes byte by byte must not be copied for each of them. */
  const grow = (needed: number): void => {
    const larger = Buffer.allocUnsafe(Math.max(1_024, 2 * needed))
    kept.copy(larger, 0, 0, bytesKept)
    kept = larger
    ours = true
  }

  const release = (): Buffer => {
    const bytes = kept.subarray(0, bytesKept)
    kept = nothing
    bytesKept = 0
    return bytes
  }

  /** Bytes without the end of an event. */
  const begin = (bytes: Buffer): Buffer | undefined => {
    if (passing) return bytes
    keep(bytes)
    if (bytesKept <= longestBytes) return undefined
    passing = true
    return release()
  }

  return {
    take: (bytes) => {
      let end = wholeUpTo(bytes, last)
      // The second half of a line end whose first half has left with its event.
      if (end === 0 && last === cr && bytes[0] === lf && bytesKept === 0 && !passing) end = 1
      last = bytes[bytes.length - 1] ?? last
      if (end === 0) return begin(bytes)
      passing = false
      const whole = end === bytes.length ? bytes : bytes.subarray(0, end)
      const events = bytesKept === 0 ? whole : Buffer.concat([release(), whole])
      if (end === bytes.length) return events
      const more = begin(bytes.subarray(end))
      return more === undefined ? events : Buffer.concat([events, more])
    },
    left: () => kept.subarray(0, bytesKept),
    passing: () => passing,
  }
}

const nothing = Buffer.alloc(0)

/** Whether whole events hold one that carries something. Comments, blank lines and pings keep a connection open, no more. */
export function hasPayload(events: Buffer): boolean {
  let ping = false
  let at = events[0] === 0xef && events[1] === 0xbb && events[2] === 0xbf ? 3 : 0
  while (at < events.length) {
    switch (events[at] ?? 0) {
      case 0x64:
        if (!ping && isField(events, at, dataField)) return true
        break
      case 0x65:
        if (isField(events, at, eventField)) ping = isPing(events, at)
        break
      case lf:
      case cr:
        ping = false
    }
    at = nextLine(events, at)
  }
  return false
}

const dataField = Buffer.from('data')
const eventField = Buffer.from('event')

function isField(events: Buffer, at: number, name: Buffer): boolean {
  for (let n = 0; n < name.length; n++) if (events[at + n] !== name[n]) return false
  const next = events[at + name.length]
  return next === 0x3a || next === lf || next === cr
}

function isPing(events: Buffer, at: number): boolean {
  const from = at + eventField.length + (events[at + eventField.length + 1] === 0x20 ? 2 : 1)
  const next = events[from + 4]
  return (next === lf || next === cr) && events.toString('latin1', from, from + 4) === 'ping'
}

function nextLine(events: Buffer, from: number): number {
  let at = from
  while (at < events.length && events[at] !== lf && events[at] !== cr) at++
  return events[at] === cr && events[at + 1] === lf ? at + 2 : at + 1
}

/** One event, as its reader sees it. */
export interface SseEvent {
  readonly event: string
  readonly data: string
}

/** The whole events of a text; what follows the last blank line is none. */
export function parseEvents(text: string): SseEvent[] {
  const events: SseEvent[] = []
  let event = ''
  let data: string[] = []
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)
  // What no line end follows is no line yet.
  lines.pop()
  for (const line of lines) {
    if (line === '') {
      if (data.length > 0) events.push({ event, data: data.join('\n') })
      event = ''
      data = []
      continue
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') event = value
    else if (field === 'data') data.push(value)
  }
  return events
}

/** Whether an answer is a stream of events that we can read; a compressed one passes as it is, and so does one that is an error's body. */
export function isEventStream(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  if (status !== 200) return status > 200 && status < 300 && status !== 204 && status !== 205 && isEventStream(200, headers)
  const type = headers['content-type']
  if (typeof type !== 'string' || !/^text\/event-stream\s*(?:;|$)/i.test(type)) return false
  const coding = headers['content-encoding']
  return coding === undefined || coding === 'identity'
}
