import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

type Locked = {
  version?: string
  integrity?: string
  resolved?: string
  hasInstallScript?: boolean
  dev?: boolean
  optional?: boolean
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

const read = (file: string) => JSON.parse(readFileSync(join(import.meta.dirname, '../..', file), 'utf8'))
const lock: Record<string, Locked> = read('package-lock.json').packages
const { optionalDependencies, allowScripts } = read('package.json')
const packages = Object.entries(lock).filter(([path]) => path !== '')

test('the Node of every platform stands in the lock file with its integrity', () => {
  const nodes: string[] = Object.keys(optionalDependencies).filter((name) => name.startsWith('node-'))
  assert.equal(nodes.length, 5)
  for (const name of nodes) {
    assert.match(lock[`node_modules/${name}`]?.integrity ?? '', /^sha512-/, name)
    assert.equal(lock[`node_modules/${name}`]?.version, optionalDependencies[name], name)
    assert.notEqual(lock[`node_modules/${name}`]?.hasInstallScript, true, name)
  }
})

test('whatever is installed in production or runs on Linux has an integrity', () => {
  const without = packages.filter(([, locked]) => locked.integrity === undefined)
  assert.deepEqual(
    without.filter(([, locked]) => !(locked.dev && locked.optional)),
    [],
  )
  assert.deepEqual(
    without.filter(([path]) => /linux-(x64|arm64)(-gnu)?$/.test(path)),
    [],
  )
})

// npm install on a registry that lacks some platform's package leaves that package out of the lock file,
// and npm ci then refuses the lock file on every machine.
test('every platform of an optional package stands in the lock file, so that npm ci takes it', () => {
  const wanted = packages.flatMap(([, locked]) => Object.keys(locked.optionalDependencies ?? {}))
  assert.deepEqual(
    wanted.filter((name) => !packages.some(([path]) => path.endsWith(`node_modules/${name}`))),
    [],
  )
})

test('the lock file holds no addresses: a mirror serves as well as any other', () => {
  assert.deepEqual(
    packages.filter(([, locked]) => locked.resolved !== undefined),
    [],
  )
})

test('each package with an install script is decided upon by name', () => {
  const scripted = packages.filter(([, locked]) => locked.hasInstallScript).map(([path]) => path.replace(/^.*node_modules\//, ''))
  assert.deepEqual(
    scripted.filter((name) => !(name in allowScripts)),
    [],
  )
  assert.deepEqual(
    Object.keys(allowScripts).filter((name) => !scripted.includes(name)),
    [],
    'an entry for a package that has no script any more',
  )
})
