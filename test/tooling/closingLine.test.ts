import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { folder } from '../fixtures/mountedSecret.ts'

const reporter = join(import.meta.dirname, '../closingLine.ts')

test('a run of tests ends with one line of counts, also where a file cannot be read or a test hangs', async (t) => {
  const place = folder(t)
  writeFileSync(
    join(place, 'mixed.test.mjs'),
    `import { test } from 'node:test'
test('passes', () => {})
test('fails', () => { throw new Error('on purpose') })
test('hangs', { timeout: 50 }, () => new Promise((resolve) => setTimeout(resolve, 5_000).unref()))
test.skip('is skipped', () => {})
`,
  )
  writeFileSync(join(place, 'broken.test.mjs'), 'this is no JavaScript\n')
  const { code, said } = await testsIn(place)
  assert.equal(code, 1)
  const lines = said.trimEnd().split('\n')
  assert.match(lines.at(-1) ?? '', /^tests: 1 passed, 3 failed, 1 skipped, \d+ s$/)
  assert.match(said, /on purpose/)
})

function testsIn(place: string): Promise<{ code: unknown; said: string }> {
  const env = { ...process.env }
  // Of the run that this test is a part of.
  delete env['NODE_TEST_CONTEXT']
  return new Promise((resolve) => {
    execFile(process.execPath, ['--test', `--test-reporter=${reporter}`], { cwd: place, env }, (err, stdout) => {
      resolve({ code: err?.code ?? 0, said: stdout })
    })
  })
}
