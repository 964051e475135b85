import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { openLog, patientWriter } from '../../sidecar/observe/log.ts'

test('lines wait for a slow reader up to a bound, and what is beyond it is dropped and counted', () => {
  const taken: string[] = []
  let take: (() => void) | undefined
  const out = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      taken.push(chunk)
      take = done
    },
  })
  const { write, dropped } = patientWriter(out, 10)
  write('one\n')
  write('two\nthree\n')
  assert.equal(dropped(), 0)
  write('four\nfive\n')
  assert.equal(dropped(), 2)
  take?.()
  take?.()
  write('six\n')
  take?.()
  assert.deepEqual(taken, ['one\n', 'two\nthree\n', 'six\n'])
  assert.equal(dropped(), 2)
})

test('lines that cannot be written are counted, and those that can be written later are written', async () => {
  let broken = true
  const taken: string[] = []
  const out = new Writable({
    autoDestroy: false,
    write(chunk, _encoding, done) {
      if (!broken) taken.push(String(chunk))
      done(broken ? new Error('EPIPE') : null)
    },
  })
  out.on('error', () => {})
  const { write, dropped } = patientWriter({ ...bound(out), writableLength: 0 })
  write('a\nb\n')
  await new Promise((done) => setImmediate(done))
  assert.equal(dropped(), 2)
  broken = false
  assert.deepEqual(taken, [])
})

const bound = (out: Writable): { write: NodeJS.WriteStream['write'] } => ({ write: out.write.bind(out) as NodeJS.WriteStream['write'] })

test('each line is JSON with level, time and message, and the level decides what is written', () => {
  let text = ''
  const { logger } = openLog('warn', {
    write: (lines) => {
      text += lines
    },
  })
  logger.info('no')
  logger.warn({ call: 'x' }, 'yes')
  const { time, ...line } = JSON.parse(text) as Record<string, unknown>
  assert.deepEqual(line, { level: 'warn', call: 'x', msg: 'yes' })
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})
