import assert from 'node:assert/strict'
import { test } from 'node:test'
import { discard, newTranscript, openPages, textOf, write } from '../../sidecar/proxy/transcript.ts'

test('what was written is what is read, whatever the sizes of its parts', () => {
  const pages = openPages({ streamBytes: 1024 * 1024, totalBytes: 1024 * 1024 })
  for (const size of [1, 7, 200, 8_191, 8_192, 8_193, 50_000]) {
    const transcript = newTranscript()
    const parts = Array.from({ length: Math.ceil(60_000 / size) }, (_, n) => Buffer.alloc(size, 97 + (n % 26)))
    for (const part of parts) write(transcript, part, pages)
    assert.equal(textOf(transcript), Buffer.concat(parts).toString(), `parts of ${size}`)
    discard(transcript, pages)
    assert.equal(pages.inUse, 0)
  }
})

test('nothing is kept of a stream that is too long, and another one finds the room', () => {
  const pages = openPages({ streamBytes: 16 * 1024, totalBytes: 24 * 1024 })
  const one = newTranscript()
  for (let n = 0; n < 17; n++) write(one, Buffer.alloc(1_024), pages)
  assert.deepEqual([textOf(one), pages.inUse], [undefined, 0])
  write(one, Buffer.alloc(1), pages)
  assert.deepEqual([textOf(one), pages.inUse], [undefined, 0])

  const others = [newTranscript(), newTranscript(), newTranscript(), newTranscript()]
  for (const other of others) write(other, Buffer.from('a'), pages)
  assert.deepEqual(others.map(textOf), ['a', 'a', 'a', undefined])
  for (const other of others) discard(other, pages)
  assert.equal(pages.inUse, 0)
})
