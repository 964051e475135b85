const lf = 0x0a
const cr = 0x0d

/**
 * Just behind the last event of `bytes` that is complete; 0 when none is. `last` is the byte before `bytes`, or -1. An event ends with a
 * blank line, a line with LF, CR or CRLF. Searched from the end, where it nearly always is.
 */
export function wholeUpTo(bytes: Buffer, last: number): number {
  for (let at = bytes.length - 1; at >= 0; at--) {
    const byte = bytes[at]
    if (byte !== lf && byte !== cr) continue
    const before = at > 0 ? bytes[at - 1] : last
    const blank = byte === lf ? before === lf : before === lf || before === cr
    if (!blank) continue
    return byte === cr && bytes[at + 1] === lf ? at + 2 : at + 1
  }
  return 0
}

/** Whether whole events hold one that carries something. Comments, blank lines and pings keep a connection open, no more. */
export function hasPayload(events: Buffer): boolean {
  // Nearly every read begins with what it carries.
  if (events[0] === 0x64 && events[1] === 0x61) return true
  let ping = false
  for (const line of events.toString('latin1', 0, events.length).split(/\r\n|\r|\n/)) {
    if (line === '') ping = false
    else if (line.startsWith('event:')) ping = line.slice(6).trim() === 'ping'
    else if (!ping && line.startsWith('data')) return true
  }
  return false
}

/** Whether whole events end with the marker of OpenAI's streams. Asked for every read: two comparisons decide nearly always. */
export function endsWithDone(events: Buffer): boolean {
  let end = events.length
  while (end > 0 && (events[end - 1] === lf || events[end - 1] === cr)) end--
  return events[end - 1] === 0x5d && /(^|[\r\n])data: ?\[DONE\]$/.test(events.toString('latin1', Math.max(0, end - 14), end))
}

/** One event, as its reader sees it. */
export interface SseEvent {
  readonly event: string
  readonly data: string
}

/** The events of a text that ends with a whole one. */
export function parseEvents(text: string): SseEvent[] {
  const events: SseEvent[] = []
  for (const block of text.replace(/^\uFEFF/, '').split(/(?:\r\n|\r(?!\n)|\n)(?:\r\n|\r|\n)/)) {
    let event = ''
    const data: string[] = []
    for (const line of block.split(/\r\n|\r|\n/)) {
      const colon = line.indexOf(':')
      if (colon === 0) continue
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
      if (field === 'event') event = value
      else if (field === 'data') data.push(value)
    }
    if (data.length > 0) events.push({ event, data: data.join('\n') })
  }
  return events
}

/** Whether an answer is a stream of events that we can read; a compressed one passes as it is. */
export function isEventStream(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  const type = headers['content-type']
  if (typeof type !== 'string' || !type.startsWith('text/event-stream')) return false
  const coding = headers['content-encoding']
  return coding === undefined || coding === 'identity'
}
