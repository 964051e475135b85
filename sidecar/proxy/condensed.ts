const end = Buffer.from('\n\n')
const headBytes = 6
const nothing = Buffer.alloc(0)

export interface Condensed {
  /** What was said since. */
  readonly block: Buffer
  /** Up to there the page is in it; what stands behind is the beginning of an event. */
  readonly used: number
  /** The last event that is in it begins there. */
  readonly last: number
}

/** Where blocks are written: never across an await. */
let scratch = nothing

/**
 * The whole events of a page in a fraction of their bytes: those of a stream differ in a word or two, so that of each only the middle is
 * kept, with how much of its beginning and of its end is that of the one before it. The page begins with an event that is kept already.
 */
export function condensed(page: Buffer, known: number): Condensed {
  if (scratch.length < page.length + headBytes) scratch = Buffer.allocUnsafeSlow(page.length + headBytes)
  let written = 0
  let last = 0
  let used = known
  for (;;) {
    const at = page.indexOf(end, used)
    if (at < 0) break
    const to = at + end.length
    const most = Math.min(to - used, used - last)
    let before = 0
    while (before < most && page[last + before] === page[used + before]) before++
    let behind = 0
    while (behind < most - before && page[used - 1 - behind] === page[to - 1 - behind]) behind++
    const middle = page.subarray(used + before, to - behind)
    if (written + headBytes + middle.length > page.length) break
    written = record(written, { before, behind, middle })
    last = used
    used = to
  }
  if (used === known) {
    written = record(0, { before: 0, behind: 0, middle: page.subarray(known) })
    last = used = page.length
  }
  return { block: scratch.subarray(0, written), used, last }
}

interface Said {
  /** So many bytes of the event before it are its beginning, and so many its end. */
  readonly before: number
  readonly behind: number
  readonly middle: Buffer
}

function record(at: number, { before, behind, middle }: Said): number {
  scratch.writeUInt16LE(before, at)
  scratch.writeUInt16LE(behind, at + 2)
  scratch.writeUInt16LE(middle.length, at + 4)
  scratch.set(middle, at + headBytes)
  return at + headBytes + middle.length
}

/** The same events as they were. */
export function expanded(block: Buffer): Buffer {
  const events: Buffer[] = []
  let last: Buffer = nothing
  for (let at = 0; at < block.length;) {
    const middle = at + headBytes
    const next = middle + block.readUInt16LE(at + 4)
    const beginning = last.subarray(0, block.readUInt16LE(at))
    const ending = last.subarray(last.length - block.readUInt16LE(at + 2))
    last = Buffer.concat([beginning, block.subarray(middle, next), ending])
    events.push(last)
    at = next
  }
  return Buffer.concat(events)
}
