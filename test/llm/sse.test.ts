import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cutter, hasPayload, isEventStream, parseEvents, wholeUpTo } from '../../sidecar/proxy/llm/sse.ts'
import { anyText, chatText, lineEnds, oneByOne, readByStandard, splitText } from '../fixtures/streams.ts'
import { processorMs } from '../fixtures/processorMs.ts'

/** The longest beginning that ends with a blank line, found by trying all. */
function wholePart(text: string): string {
  for (let end = text.length; end > 0; end--) {
    const lines = text.slice(0, end).split(/\r\n|\r|\n/)
    if (lines.length > 1 && lines.at(-1) === '' && lines.at(-2) === '') return text.slice(0, end)
  }
  return ''
}

test('wholeUpTo finds the end of the last whole event, however the bytes are cut', () => {
  fc.assert(
    fc.property(splitText(anyText), ({ parts }) => {
      let seen = Buffer.alloc(0)
      let whole = 0
      let last = -1
      for (const part of parts) {
        const end = wholeUpTo(part, last)
        if (end > 0) whole = seen.length + end
        last = part.at(-1) ?? last
        seen = Buffer.concat([seen, part])
        const expected = Buffer.byteLength(wholePart(seen.toString('latin1')), 'latin1')
        // The second half of a line end says nothing new about events.
        const halfLineEnd = seen.toString('latin1', whole, expected) === '\n' && seen[whole - 1] === 0x0d
        assert.ok(whole === expected || halfLineEnd, JSON.stringify({ seen: seen.toString(), whole, expected }))
      }
    }),
    { numRuns: 3_000 },
  )
})

test('a cutter lets out whole events in the read that completes them, and not a byte more', () => {
  fc.assert(
    fc.property(splitText(anyText), ({ bytes, parts }) => {
      const cut = cutter(1_000_000)
      let seen = ''
      let out = ''
      for (const part of parts) {
        out += cut.take(part)?.toString('latin1') ?? ''
        seen += part.toString('latin1')
        assert.equal(out, wholePart(seen))
      }
      assert.equal(out + cut.left().toString('latin1'), bytes.toString('latin1'))
      assert.equal(cut.passing(), false)
    }),
    { numRuns: 3_000 },
  )
})

test('a cutter keeps no more of an unfinished event than it may, and loses nothing of one that is longer', () => {
  fc.assert(
    fc.property(splitText(anyText), fc.nat(12), ({ bytes, parts }, longest) => {
      const cut = cutter(longest)
      const out: Buffer[] = []
      for (const part of parts) {
        const events = cut.take(part)
        if (events !== undefined) out.push(events)
        assert.ok(cut.left().length <= longest)
        const sent = Buffer.concat(out).toString('latin1')
        if (!cut.passing()) assert.equal(sent, wholePart(sent))
      }
      assert.deepEqual(Buffer.concat([...out, cut.left()]), bytes)
    }),
    { numRuns: 3_000 },
  )
})

test('a read of exactly whole events is handed on as the same bytes, uncopied', () => {
  const cut = cutter(1_000)
  const read = Buffer.from('data: 1\n\ndata: 2\n\n')
  assert.equal(cut.take(read), read)
  assert.equal(cut.take(Buffer.from('data: 3\n')), undefined)
  assert.equal(cut.take(Buffer.from('\n'))?.toString(), 'data: 3\n\n')
  assert.equal(cut.take(read), read)
})

test('a long event that comes byte by byte costs memory and time in proportion to its length', () => {
  const cut = cutter(2 ** 20)
  const byte = Buffer.from('x')
  const took = processorMs(() => {
    for (let n = 0; n < 300_000; n++) assert.equal(cut.take(byte), undefined)
    assert.ok(cut.left().buffer.byteLength <= 4 * 300_000)
    assert.equal(cut.take(Buffer.from('\n\n'))?.length, 300_002)
  })
  assert.ok(took < 2_000, `${took} ms`)
})

test('the LF of a CRLF that was cut leaves at once: some readers wait for it before they take the event', () => {
  const cut = cutter(1_000)
  assert.equal(cut.take(Buffer.from('data: 1\r\n\r'))?.toString(), 'data: 1\r\n\r')
  assert.equal(cut.take(Buffer.from('\nda'))?.toString(), '\n')
  assert.equal(cut.take(Buffer.from('ta: 2\r\n\r\n'))?.toString(), 'data: 2\r\n\r\n')
})

test('parseEvents reads what the standard reads', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      assert.deepEqual(parseEvents(text), readByStandard(text))
    }),
    { numRuns: 3_000 },
  )
})

test('payload is an event with data that is no ping, whatever ends its lines', () => {
  fc.assert(
    fc.property(anyText.map(wholePart), (text) => {
      const expected = readByStandard(text).some(({ event }) => event !== 'ping')
      // A name that comes after its data is not waited for.
      const lateName = /data[^\r\n]*(?:\r\n?|\n)(?:[^\r\n]+(?:\r\n?|\n))*event/.test(text)
      if (!lateName) assert.equal(hasPayload(Buffer.from(text)), expected, JSON.stringify(text))
    }),
    { numRuns: 3_000 },
  )
})

test('neither comments, blank lines nor pings are payload; a byte order mark hides none', () => {
  for (const end of lineEnds) {
    const has = (...lines: string[]): boolean => hasPayload(Buffer.from([...lines, '', ''].join(end)))
    assert.equal(has(': keep-alive'), false)
    assert.equal(has('', ''), false)
    assert.equal(has('event: ping', 'data: {"type":"ping"}'), false)
    assert.equal(has('event:ping', 'data: {}'), false)
    assert.equal(has('event: pingpong', 'data: {}'), true)
    assert.equal(has('event: ping', 'data: {}', '', 'event: message_start', 'data: {}'), true)
    assert.equal(has('event: message_start'), false)
    assert.equal(has('database: none'), false)
    assert.equal(has('id: 7', 'retry: 10', 'data: x'), true)
    assert.equal(has('data'), true)
    assert.equal(has('\uFEFFdata: x'), true)
    assert.equal(has('\uFEFF: hello'), false)
  }
})

test('only a success with an uncompressed event stream is one that we read', () => {
  const is = (status: number, type?: string, coding?: string): boolean =>
    isEventStream(status, { 'content-type': type, 'content-encoding': coding })
  assert.equal(is(200, 'text/event-stream'), true)
  assert.equal(is(200, 'Text/Event-Stream; charset=utf-8'), true)
  assert.equal(is(200, 'text/event-stream ;charset=utf-8', 'identity'), true)
  assert.equal(is(201, 'text/event-stream'), true)
  assert.equal(is(204, 'text/event-stream'), false)
  assert.equal(is(429, 'text/event-stream'), false)
  assert.equal(is(200, 'text/event-stream', 'gzip'), false)
  assert.equal(is(200, 'text/event-streams'), false)
  assert.equal(is(200, 'application/json'), false)
  assert.equal(is(200), false)
})

test('one byte at a time gives the same events as all at once', () => {
  const text = [...chatText(['a', 'ü', '😀'])].join('')
  const cut = cutter(10_000)
  const out = oneByOne(text).flatMap((byte) => cut.take(byte) ?? [])
  assert.equal(out.length, 4)
  assert.equal(Buffer.concat(out).toString(), text)
})
