import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { closing, removing } from '../fixtures/closing.ts'
import { folder } from '../fixtures/mountedSecret.ts'
import type { Owner } from '../fixtures/providerExchange.ts'

const fixtures = pathToFileURL(join(import.meta.dirname, '../fixtures')).href

/** What a test says that does this in between, behind it and in front of it another provider, another sidecar and a program. */
async function saidOf(place: string, breaking: string): Promise<string> {
  const file = join(place, 'broken.test.mjs')
  writeFileSync(
    file,
    `import { test } from 'node:test'
import { answers, provider, rawUpstream } from '${fixtures}/provider.ts'
import { program } from '${fixtures}/runOutrider.ts'
import { startSidecar } from '${fixtures}/startSidecar.ts'

const ask = ({ url }) => fetch(url + '/chat/completions', { method: 'POST', body: '{}' }).then((reply) => reply.text())

test('breaks', async (t) => {
  ${breaking}
  await startSidecar(t, (await provider(t, answers(200))).url)
  const sleeping = program(t, ['sleep', '1h'])
  process.once('beforeExit', () => console.log('closed:', sleeping.child.signalCode))
})
`,
  )
  // Of the run that this test is a part of.
  const { NODE_TEST_CONTEXT: _outer, ...env } = process.env
  const args = ['--test', '--test-isolation=none', '--test-reporter=tap', file]
  return new Promise((done, fail) => {
    execFile(process.execPath, args, { env, timeout: 30_000, killSignal: 'SIGKILL' }, (err, stdout) => {
      if (err?.code === 1) done(stdout)
      else fail(new Error(`ended with ${err?.signal ?? err?.code ?? 0}: ${stdout}`))
    })
  })
}

// It was thrown at once: what had been opened later stayed open, and the file did not end before its time was up.
for (const [what, breaking, message] of [
  [
    'a request beyond the script',
    'const sidecar = await startSidecar(t, (await provider(t, [])).url); await ask(sidecar)',
    /the provider's script was not kept: request 1 is beyond the script: POST \/v1\/chat\/completions/,
  ],
  [
    'a step that throws',
    "const sidecar = await startSidecar(t, (await provider(t, () => { throw new Error('on purpose') })).url); await ask(sidecar)",
    /the provider's script was not kept: request 1: Error: on purpose/,
  ],
  [
    'a raw upstream whose script throws',
    "const sidecar = await startSidecar(t, (await rawUpstream(t, () => { throw new Error('on purpose') })).url); await ask(sidecar)",
    /the script of the raw upstream failed: Error: on purpose/,
  ],
  [
    'a sidecar that leaves something behind',
    "const { proxy } = await startSidecar(t, 'http://127.0.0.1:9'); const { residue } = proxy; proxy.residue = () => ({ ...residue(), alarms: 1 })",
    /something of the sidecar was left behind/,
  ],
] as const)
  test(`${what} fails the test by its name, and all that the test has opened is closed`, async (t) => {
    const said = await saidOf(folder(t), breaking)
    assert.match(said, message)
    assert.match(said, /^closed: SIGKILL$/m)
  })

// A program was still writing into its folder when that was removed: "directory not empty", now and then, and all that was open stayed so.
test('a folder is removed when all is closed, and before anything is judged', async () => {
  const order: string[] = []
  const hooks: (() => unknown)[] = []
  const owner = { after: (hook: () => unknown) => void hooks.push(hook) } as unknown as Owner
  removing(owner, () => void order.push('removed'))
  closing(
    owner,
    () => order.push('closed'),
    () => void order.push('judged'),
  )
  owner.after(() => order.push('closed, too'))
  for (const hook of hooks) await hook()
  assert.deepEqual(order, ['closed', 'closed, too', 'removed', 'judged'])
})
