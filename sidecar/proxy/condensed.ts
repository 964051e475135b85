const end = Buffer.from('\n\n')
const headBytes = 6

export interface Condensed {
  readonly block: Buffer
  /** So much of the page is in it; what stands behind is the beginning of an event. */
  readonly used: number
}

/** Where blocks are written: never across an await. */
let scratch = Buffer.alloc(0)

/**
 * The whole events of a page in a fraction of their bytes: those of a stream differ in a word or two, so that of each only the middle is
 * kept, with how much of its beginning and of its end is that of the one before it.
 */
export function condensed(page: Buffer): Condensed {
  const most = page.length
  if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most)
  let written = 0
  let used = 0
  let before = 0
  for (;;) {
    const at = page.indexOf(end, used)
    if (at < 0) break
    const to = at + end.length
    const same = Math.min(to - used, used - before)
    let first = 0
    while (first < same && page[before + first] === page[used + first]) first++
    let last = 0
    while (last < same - first && page[used - 1 - last] === page[to - 1 - last]) last++
    const middle = page.subarray(used + first, to - last)
    if (written + headBytes + middle.length > most) break
    written = record(scratch, written, { first, last, middle })
    before = used
    used = to
  }
  if (used > 0) return { block: copyOf(scratch, written), used }
  const whole = Buffer.allocUnsafeSlow(headBytes + most)
  record(whole, 0, { first: 0, last: 0, middle: page })
  return { block: whole, used: most }
}

interface Event {
  readonly first: number
  readonly last: number
  readonly middle: Buffer
}

function record(to: Buffer, at: number, { first, last, middle }: Event): number {
  to.writeUInt16LE(first, at)
  to.writeUInt16LE(last, at + 2)
  to.writeUInt16LE(middle.length, at + 4)
  to.set(middle, at + headBytes)
  return at + headBytes + middle.length
}

function copyOf(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length)
  copy.set(bytes.subarray(0, length))
  return copy
}

/** The same events as they were. */
export function expanded(block: Buffer): Buffer {
  const events: Buffer[] = []
  let before = block.subarray(0, 0)
  for (let at = 0; at < block.length;) {
    const middle = at + headBytes
    const next = middle + block.readUInt16LE(at + 4)
    const kept = [
      before.subarray(0, block.readUInt16LE(at)),
      block.subarray(middle, next),
      before.subarray(before.length - block.readUInt16LE(at + 2)),
    ]
    before = Buffer.concat(kept)
    events.push(before)
    at = next
  }
  return Buffer.concat(events)
}
