import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { closeFrame, frames, type Frames } from '../../sidecar/proxy/serve/frames.ts'

interface Written {
  readonly opcode: number
  readonly size: number
  readonly masked: boolean
  /** Bytes of its length field beyond the first. */
  readonly wide: 0 | 2 | 8
}

const written: fc.Arbitrary<Written> = fc
  .record({
    opcode: fc.constantFrom(0x0, 0x1, 0x2, 0x9, 0xa),
    size: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(125, 126, 127, 65_535, 65_536)),
    masked: fc.boolean(),
    wide: fc.constantFrom(0 as const, 2 as const, 8 as const),
  })
  // Servers accept a length written wider than it need be, so it must be counted too.
  .map((frame) => ({ ...frame, wide: frame.size > 65_535 ? 8 : frame.size > 125 && frame.wide === 0 ? 2 : frame.wide }))

function bytesOf({ opcode, size, masked, wide }: Written): Buffer {
  const length = Buffer.alloc(wide)
  if (wide === 2) length.writeUInt16BE(size)
  if (wide === 8) length.writeBigUInt64BE(BigInt(size))
  const short = wide === 0 ? size : wide === 2 ? 126 : 127
  // Payload and mask look like headers of frames that never end: whoever reads them as such goes astray.
  return Buffer.concat([
    Buffer.from([0x80 | opcode, (masked ? 0x80 : 0) | short]),
    length,
    Buffer.alloc(masked ? 4 : 0, 0xff),
    Buffer.alloc(size, 0xff),
  ])
}

/** Where the frames end when all of `chunks` is taken. */
function endsIn(counter: Frames, chunks: readonly Buffer[]): number[] {
  const ends: number[] = []
  let before = 0
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      at = counter.take(chunk, at)
      if (counter.between()) ends.push(before + at)
    }
    before += chunk.length
  }
  return ends
}

function endsOf(list: readonly Buffer[]): number[] {
  let end = 0
  return list.map((frame) => (end += frame.length))
}

test('every end of a frame is found, byte by byte', () => {
  fc.assert(
    fc.property(fc.array(written, { maxLength: 6 }), (list) => {
      const whole = list.map(bytesOf)
      const bytes = Buffer.concat(whole)
      const single = Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1))
      assert.deepEqual(endsIn(frames(), single), endsOf(whole))
    }),
    { numRuns: 60 },
  )
})

test('every end of a frame is found, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(written, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 70_000 })), (list, cuts) => {
      const whole = list.map(bytesOf)
      const bytes = Buffer.concat(whole)
      const chunks: Buffer[] = []
      let at = 0
      for (const cut of cuts) chunks.push(bytes.subarray(at, (at += cut)))
      chunks.push(bytes.subarray(at))
      assert.deepEqual(endsIn(frames(), chunks), endsOf(whole))
    }),
  )
})

test('a frame of any declared length is waited for', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }), (size) => {
      const counter = frames()
      const head = Buffer.alloc(10)
      head.writeUInt16BE(0x82_7f)
      head.writeBigUInt64BE(size, 2)
      counter.take(head, 0)
      assert.equal(counter.between(), false)
      assert.equal(counter.take(Buffer.alloc(1), 0), 1)
      assert.equal(counter.between(), size === 1n)
    }),
  )
})

test('a close frame is noticed by its first byte, and no other is taken for one', () => {
  const counter = frames()
  for (const opcode of Array.from({ length: 16 }, (_none, at) => at).filter((at) => at !== 8)) {
    counter.take(bytesOf({ opcode, size: 8, masked: true, wide: 0 }), 0)
    assert.equal(counter.closed(), false, `opcode ${opcode}`)
  }
  counter.take(Buffer.from([0x88]), 0)
  assert.equal(counter.closed(), true)
  assert.equal(counter.between(), false)
})

const reasons = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.string({ unit: 'grapheme', minLength: 60, maxLength: 130 }))

test('a close frame of ours is one whole frame with code and reason, masked for servers', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 4999 }), reasons, fc.boolean(), (code, reason, masked) => {
      const frame = closeFrame(code, reason, masked)
      const counter = frames()
      assert.equal(counter.take(frame, 0), frame.length)
      assert.ok(counter.between() && counter.closed())
      const mask = masked ? frame.subarray(2, 6) : Buffer.alloc(4)
      const payload = frame.subarray(masked ? 6 : 2).map((byte, at) => byte ^ (mask[at % 4] ?? 0))
      assert.equal(frame[0], 0x88)
      assert.equal((frame[1] ?? 0) >> 7, masked ? 1 : 0)
      assert.ok(payload.length <= 125)
      assert.equal(Buffer.from(payload).readUInt16BE(), code)
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload.subarray(2))
      assert.ok(reason.startsWith(text))
      if (Buffer.byteLength(reason) <= 123) assert.equal(text, reason)
    }),
  )
})
