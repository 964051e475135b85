import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { provider } from '../fixtures/provider.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'
import { clientEnv, demo, keyWasChanged } from './behindSidecar.ts'
import { programs, said } from './programs/programs.ts'

const run = promisify(execFile)

for (const name of programs) {
  test(`the program ${name} runs as it is, told only where to call and a key that is none`, async (t) => {
    const upstream = await provider(t, demo())
    const sidecar = await runOutrider(t, upstream.url)
    const env = clientEnv(new URL(sidecar.url).origin)
    const { stdout, stderr } = await run(process.execPath, [join(import.meta.dirname, 'programs', `${name}.ts`)], { env, timeout: 30_000 })
    assert.equal(stderr, '')
    said(name, stdout, upstream.seen)
    keyWasChanged({ upstream })
  })
}
