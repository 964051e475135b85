import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

const root = join(import.meta.dirname, '../..')

// It had been written for a layer that was still to come, and failed for everyone who pasted it.
test('the test that CONTRIBUTING.md offers to be pasted passes', async (t) => {
  const [, pasted = ''] = /```ts\n([^]*?)```/.exec(readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')) ?? []
  assert.match(pasted, /^test\(/m)
  const folder = mkdtempSync(join(tmpdir(), 'outrider-pasted-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const file = join(folder, 'mine.test.ts')
  writeFileSync(file, pasted.replaceAll("'../fixtures/", `'${pathToFileURL(join(root, 'test/fixtures')).href}/`))
  // Without this Node would take it for a part of the run that it is started from.
  const { NODE_TEST_CONTEXT: _outer, ...env } = process.env
  const { code, said } = await new Promise<{ code: unknown; said: string }>((done) => {
    execFile(process.execPath, ['--test', '--test-reporter=tap', file], { env }, (err, stdout) => {
      done({ code: err?.code ?? 0, said: stdout })
    })
  })
  assert.equal(code, 0, said)
  assert.match(said, /^# pass 1$/m)
})
