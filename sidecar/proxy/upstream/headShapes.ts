import type { Headers } from '../headers.ts'

/** The head of an answer, read by us. */
export interface ReadHead {
  readonly headers: Headers
  /** A head of only what undici has to see. */
  readonly short: string
  /** Of the head as it came. */
  readonly length: number
}

interface Line {
  /** In lower case. */
  readonly name: string
  /** As it stands in the head, up to its value. */
  readonly prefix: string
  readonly value: string
}

interface Head {
  /** With its end, as all lines. */
  readonly statusLine: string
  readonly lines: readonly Line[]
}

/** A line whose value changes from head to head. */
interface Hole {
  readonly name: string
  /** What undici sees of it in front of the value; empty where it sees nothing. */
  readonly seenAs: string
  /** All that stands behind its value, up to the next hole or to the end. */
  readonly behind: string
}

/** What the heads of one kind have in common. */
interface Shape {
  readonly head: Head
  readonly isHole: readonly boolean[]
  /** What stands in front of the first hole. */
  readonly start: string
  readonly holes: readonly Hole[]
  /** To be copied: an object that gets its names one after the other costs several times as much. Undefined for what a hole tells. */
  readonly headers: Headers
  readonly short: string
}

/** By these it knows where the body ends, and whether the connection goes on. */
const undicis = new Set(['connection', 'content-length', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])
/** Of JSON, of events, of the common failures. */
const mostShapes = 6
/** Learning costs several times what undici's own reading does: an upstream whose heads resemble each other too little is left to it. */
const learning = 4
const mostLearning = 64
const longestHead = 16 * 1024
const end = '\r\n'
/** Of no interim answer: another head follows that. */
const finalStatus = /^HTTP\/1\.1 [2-5]\d\d[ \r]/
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** What no value holds; and white space around it may mean more than it seems. */
const unclean = /[^\t\x20-\x7e\x80-\xff]|^[\t ]|[\t ]$/

/**
 * Reads the heads of one upstream's answers, which resemble each other but for some values. Undici makes two buffers and two strings of every
 * line, and an answer of a model has twenty lines: a tenth of all that a call costs. What is not as plain as can be, is left to undici:
 * then this gives undefined.
 */
export function headShapes(): (bytes: Buffer) => ReadHead | undefined {
  const shapes: Shape[] = []
  let learned = 0
  /** What the longest head had, so that of a body no more than that is made text. */
  let usual = 1_024

  return (bytes) => {
    const text = bytes.toString('latin1', 0, usual)
    for (const shape of shapes) {
      const read = readAs(shape, text)
      if (read === undefined) continue
      if (learned > 0) learned--
      return read
    }
    if (learned >= mostLearning) return undefined
    const head = parsed(bytes.toString('latin1', 0, longestHead))
    if (head === undefined) return undefined
    learned += learning
    const { shape, length } = learn(shapes, head)
    usual = Math.max(usual, length)
    return readAs(shape, bytes.toString('latin1', 0, usual))
  }
}

function readAs({ start, holes, headers: alike, short: shortStart }: Shape, text: string): ReadHead | undefined {
  // Cut out and compared: that is memory compared, where `startsWith` goes letter by letter.
  if (text.slice(0, start.length) !== start) return undefined
  const headers = { ...alike }
  let short = shortStart
  let at = start.length
  for (const { name, seenAs, behind } of holes) {
    const stop = text.indexOf(end, at)
    if (stop < 0) return undefined
    const value = text.slice(at, stop)
    at = stop + behind.length
    if (text.slice(stop, at) !== behind || unclean.test(value)) return undefined
    const before = headers[name]
    headers[name] = before === undefined ? value : typeof before === 'string' ? [before, value] : [...before, value]
    if (seenAs !== '') short += seenAs + value + end
  }
  return { headers, short: short + end, length: at }
}

/** Every line of a head that is plain and whole. */
function parsed(text: string): Head | undefined {
  const whole = text.indexOf(end + end)
  if (whole < 0 || !finalStatus.test(text)) return undefined
  const [status = '', ...rest] = text.slice(0, whole).split(end)
  const lines: Line[] = []
  for (const line of rest) {
    const colon = line.indexOf(':')
    const raw = line.slice(0, Math.max(0, colon))
    const name = raw.toLowerCase()
    const from = line.startsWith(' ', colon + 1) ? colon + 2 : colon + 1
    const value = line.slice(from)
    if (!token.test(raw) || name === '__proto__' || unclean.test(value)) return undefined
    lines.push({ name, prefix: line.slice(0, from), value })
  }
  return { statusLine: status + end, lines }
}

/** Finds out which of the known shapes a head would have, but for more values that change; else its shape is new. */
function learn(shapes: Shape[], head: Head): { shape: Shape; length: number } {
  const at = shapes.findIndex((known) => isAlike(known.head, head))
  const [known] = at < 0 ? [] : shapes.splice(at, 1)
  const isHole = head.lines.map(
    ({ name, value }, index) =>
      known?.isHole[index] === true ||
      (known !== undefined && known.head.lines[index]?.value !== value) ||
      // They become one list, which must be made for each head.
      head.lines.filter((other) => other.name === name).length > 1,
  )
  const shape = shapeOf(head, isHole)
  shapes.unshift(shape)
  if (shapes.length > mostShapes) shapes.pop()
  return {
    shape,
    length: head.lines.reduce((sum, { prefix, value }) => sum + prefix.length + value.length + 2, head.statusLine.length + 2),
  }
}

const isAlike = (one: Head, other: Head): boolean =>
  one.statusLine === other.statusLine &&
  one.lines.length === other.lines.length &&
  one.lines.every(({ prefix }, index) => prefix === other.lines[index]?.prefix)

/** In HTTP/1.1, and every line costs. */
const goesWithoutSaying = (name: string, value: string): boolean => name === 'connection' && /^keep-alive$/i.test(value)

function shapeOf(head: Head, isHole: readonly boolean[]): Shape {
  const holes: { name: string; seenAs: string; behind: string }[] = []
  const headers: Headers = {}
  let start = head.statusLine
  let short = head.statusLine
  const write = (text: string): void => {
    const last = holes.at(-1)
    if (last === undefined) start += text
    else last.behind += text
  }
  for (const [index, { name, prefix, value }] of head.lines.entries()) {
    write(prefix)
    const isSeen = undicis.has(name)
    if (isHole[index] === true) {
      headers[name] = undefined
      holes.push({ name, seenAs: isSeen ? prefix : '', behind: '' })
      write(end)
    } else {
      headers[name] = value
      write(value + end)
      if (isSeen && !goesWithoutSaying(name, value)) short += prefix + value + end
    }
  }
  write(end)
  return { head, isHole, start, holes, headers, short }
}
