import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { durationPattern, formatDuration, formatSize, parseDuration, parseSize, sizePattern } from '../../sidecar/config/units.ts'

test('every unit of a duration counts as it says', () => {
  assert.deepEqual(['500ms', '60s', '5m', '1h', '0s'].map(parseDuration), [500, 60_000, 300_000, 3_600_000, 0])
})

test('KB and MB count in thousands, KiB and MiB in 1024s', () => {
  assert.deepEqual(
    ['7B', '512KB', '1KiB', '50MB', '10MiB', '2GB', '1GiB'].map(parseSize),
    [7, 512_000, 1024, 50_000_000, 10_485_760, 2_000_000_000, 1_073_741_824],
  )
})

test('any duration comes back from its text', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), (milliseconds) => {
      const text = formatDuration(milliseconds)
      assert.match(text, durationPattern)
      assert.equal(parseDuration(text), milliseconds)
    }),
  )
})

test('any size comes back from its text', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999 }), (bytes) => {
      const text = formatSize(bytes)
      assert.match(text, sizePattern)
      assert.equal(parseSize(text), bytes)
    }),
  )
})

test('a text is written with the largest unit that fits', () => {
  assert.deepEqual([90_000, 60_000, 1, 0].map(formatDuration), ['90s', '1m', '1ms', '0h'])
  assert.deepEqual([1024, 1000, 8_388_608, 1].map(formatSize), ['1KiB', '1KB', '8MiB', '1B'])
})

test('two numbers, a fraction, a sign, a space or no unit is no duration', () => {
  for (const text of ['1h30m', '1.5s', '-1s', '+1s', '1 s', '10', 's', '1S', '1d', '', ' 1s', '1s\n'])
    assert.doesNotMatch(text, durationPattern, text)
})

test('a unit nobody can tell the size of is no size', () => {
  for (const text of ['10M', '10k', '10kb', '1.5GiB', '10', '1TiB', '-1B', '']) assert.doesNotMatch(text, sizePattern, text)
})
