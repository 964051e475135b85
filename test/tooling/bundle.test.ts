import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bundle } from '../../sidecar/image/bundle.ts'
import { folder } from '../fixtures/mountedSecret.ts'

test('the bundle is ASCII, for Node would hold any other text of that size with two bytes a letter, and it runs', async (t) => {
  const dir = folder(t)
  await bundle(dir)
  for (const name of ['main.cjs', 'injector.cjs', 'canary.cjs', 'demo.cjs']) {
    const other = /[^\0-\x7f]/.exec(readFileSync(join(dir, name), 'utf8'))
    assert.equal(other, null, `${name} holds ${other?.[0]}`)
  }
  assert.match(execFileSync(process.execPath, [join(dir, 'main.cjs'), '--version'], { encoding: 'utf8' }), /^\S+/)

  // What only some run is a file of its own, and found.
  const nobody = spawnSync(process.execPath, [join(dir, 'main.cjs'), 'canary', 'status', '--control', 'http://127.0.0.1:1'], {
    encoding: 'utf8',
  })
  assert.equal(nobody.status, 1)
  assert.match(nobody.stderr, /127\.0\.0\.1:1/)
})
