import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { discard, newTranscript, openPages, textOf, write, type Pages, type Transcript } from '../../sidecar/proxy/transcript.ts'

const page = 2_048
const roomy = { streamBytes: 1024 * 1024, totalBytes: 1024 * 1024 }
/** So little that all but the last page of a stream is condensed. */
const tight = { streamBytes: 1024 * 1024, totalBytes: 16 * page }

const event = (word: string, n: number): string =>
  `event: delta\ndata: {"id":"chatcmpl-1","number":${n},"choices":[{"index":0,"delta":{"content":"${word}"},"finish_reason":null}]}\n\n`

function written(parts: readonly Buffer[], pages: Pages): Transcript {
  const transcript = newTranscript()
  for (const part of parts) write(transcript, part, pages)
  return transcript
}

test('what was written is what is read, whatever the sizes of its parts', () => {
  for (const bounds of [roomy, tight]) {
    for (const size of [1, 7, 200, page - 1, page, page + 1, 20_000]) {
      const pages = openPages(bounds)
      const parts = Array.from({ length: Math.ceil(20_000 / size) }, (_, n) => Buffer.alloc(size, 97 + (n % 26)))
      const transcript = written(parts, pages)
      assert.equal(textOf(transcript), Buffer.concat(parts).toString(), `parts of ${size}`)
      discard(transcript, pages)
      assert.equal(pages.held, 0)
    }
  }
})

test('events are read as they were written, however they are cut and whatever they have in common', () => {
  const words = ['', 'a', 'aa', 'aaa', 'b', 'ü', '\\u00fc', '\\n\\n', 'delta', 'x'.repeat(5_000), '"}', '🦊']
  const text =
    Array.from({ length: 400 }, (_, n) => event(words[(n * 7) % words.length] ?? '', n)).join('') + '\n\n\n\n: a comment\n\ndata: torn'
  const bytes = Buffer.from(text)
  for (const size of [3, 50, 181, 4_000]) {
    const pages = openPages({ streamBytes: 1024 * 1024, totalBytes: 1024 * 1024 })
    // Others hold so much that there is none to waste.
    pages.held = 512 * 1024
    const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size))
    assert.equal(textOf(written(parts, pages)), text, `parts of ${size}`)
  }
})

test('a long stream of events that resemble each other takes a fraction of its bytes', () => {
  const pages = openPages({ streamBytes: 64 * 1024, totalBytes: 1024 * 1024 })
  const parts = Array.from({ length: 2_000 }, (_, n) => Buffer.from(event(`word ${n % 17} `, 5)))
  const transcript = written(parts, pages)
  assert.equal(textOf(transcript), Buffer.concat(parts).toString())
  const bytes = parts.reduce((sum, { length }) => sum + length, 0)
  assert.ok(transcript.held < bytes / 4, `${transcript.held} of ${bytes}`)
  assert.equal(pages.held, transcript.held)
})

test('nothing is kept of a stream that is too long, and another one finds the room', () => {
  const pages = openPages({ streamBytes: 4 * page, totalBytes: 6 * page })
  const one = newTranscript()
  for (let n = 0; n < 17; n++) write(one, randomBytes(1_024), pages)
  assert.deepEqual([textOf(one), pages.held], [undefined, 0])
  write(one, Buffer.alloc(1), pages)
  assert.deepEqual([textOf(one), pages.held], [undefined, 0])

  const others = Array.from({ length: 7 }, newTranscript)
  for (const other of others) write(other, Buffer.from('a'), pages)
  assert.deepEqual(others.map(textOf), ['a', 'a', 'a', 'a', 'a', 'a', undefined])
  for (const other of others) discard(other, pages)
  assert.equal(pages.held, 0)
})
