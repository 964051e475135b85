import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

const guard = join(import.meta.dirname, '../../sidecar/requireNode26.mjs')
const { refusal }: { refusal: (version: string, path: string) => string | undefined } = await import(pathToFileURL(guard).href)

/** A Node of the machine that is too old for us, where there is one: npm puts its own first, so the whole PATH is searched. */
function olderNode(): string | undefined {
  const found = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'node'))
  return found.find((node) => existsSync(node) && Number(execFileSync(node, ['-p', 'parseInt(process.versions.node)'])) < 26)
}

test('an older Node is told in words what is needed, what it is, and how to get on', () => {
  const words = refusal('20.20.2', '/usr/bin/node') ?? ''
  assert.match(words, /needs Node 26 or newer; this is Node 20\.20\.2 \(\/usr\/bin\/node\)/)
  assert.match(words, /npm ci/)
  assert.match(words, /npm start/)
})

test('only the major version counts, and it is compared as a number', () => {
  assert.notEqual(refusal('25.9.9', 'node'), undefined)
  assert.notEqual(refusal('9.11.2', 'node'), undefined)
  assert.equal(refusal('26.0.0', 'node'), undefined)
  assert.equal(refusal('26.0.0-rc.1', 'node'), undefined)
  assert.equal(refusal('100.0.0', 'node'), undefined)
})

test('on this Node the guard is silent and the program runs', () => {
  const run = spawnSync(process.execPath, ['--import', guard, '-e', 'console.log("ran")'], { encoding: 'utf8' })
  assert.deepEqual([run.status, run.stdout, run.stderr], [0, 'ran\n', ''])
})

const older = olderNode()
test('on an older Node the program never starts', { skip: older === undefined && 'no older Node on PATH' }, () => {
  const run = spawnSync(older ?? '', ['--import', guard, '-e', 'console.log("ran")'], { encoding: 'utf8' })
  assert.equal(run.status, 2)
  assert.equal(run.stdout, '')
  assert.match(run.stderr, /^Outrider needs Node 26 or newer; this is Node \d+\.\d+\.\d+ \(/)
})
