import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { folder } from '../fixtures/mountedSecret.ts'

function simulate(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((give) => {
    execFile(process.execPath, [new URL('main.ts', import.meta.url).pathname, ...args], (failure, out, err) => {
      give({ code: Number(failure?.code ?? 0), out, err })
    })
  })
}

test('the report fits a terminal of 80 columns, names its seed, and says what was reached', async () => {
  const { code, out } = await simulate('--only', 'fails every call', '--seed', '7')
  assert.equal(code, 0)
  assert.match(
    out,
    /^one fails every call at once · 18 000 calls in [\d.]+ h · seed 7\n {2}calls answered, at least .* 99\.9\d+ % reached\n/,
  )
  assert.match(out, /All goals are reached\.\n$/)
  for (const line of out.split('\n')) assert.ok(line.length <= 80, line)
})

test('a goal that is missed is told by the exit code', async () => {
  // So few that nothing can be said of shares.
  const { code, out } = await simulate('--only', 'outages', '--calls', '100')
  assert.equal(code, 1)
  assert.match(out, / MISSED\n/)
})

test('what cannot be run is told with an example', async () => {
  const { code, err } = await simulate('--calls', 'many')
  assert.equal(code, 2)
  assert.match(err, /--calls .* for example/)
  assert.equal((await simulate('--only', 'no such')).code, 2)
})

test('settings may take the place of the defaults, and what is wrong with them is told', async (t) => {
  const file = join(folder(t), 'settings.yaml')
  writeFileSync(file, 'upstreams: []\nretry: { attempts: 1 }\n')
  const { out } = await simulate('--config', file, '--only', 'fails every call')
  assert.match(out, /attempts for each call, at most [\d.]+ +1\.000 reached/)
  writeFileSync(file, 'retry: { longestWate: 10s }\n')
  const { code, err } = await simulate('--config', file)
  assert.deepEqual([code, err], [2, `simulate: --config ${file}:\n  retry.longestWate: unknown key; did you mean "longestWait"?\n`])
  assert.match((await simulate('--config', '/no/such')).err, /^simulate: --config \/no\/such: ENOENT.*\n$/)
})

test('who asks for help gets it', async () => {
  const { code, out } = await simulate('--help')
  assert.equal(code, 0)
  for (const option of ['--seed', '--calls', '--only']) assert.match(out, new RegExp(`^  ${option} `, 'm'))
})
