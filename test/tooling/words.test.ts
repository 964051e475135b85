import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'

const root = join(import.meta.dirname, '../..')

/** Every file of the project: what git tracks, and what it would track if it were added now. */
function files(): string[] {
  // A checkout that belongs to another user, as in a container, is refused by git unless it is named safe.
  const args = ['-c', `safe.directory=${root}`, 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const listed = execFileSync('git', args, { cwd: root, encoding: 'utf8' })
  return listed.split('\0').filter((file) => file !== '' && existsSync(join(root, file)) && statSync(join(root, file)).isFile())
}

/** `file:line: text` of every line that matches; a binary file has no lines. */
function linesWith(pattern: RegExp): string[] {
  return files().flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    if (text.includes('\0')) return []
    return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim().slice(0, 160)}`] : []))
  })
}

// The patterns are put together from parts, so that this file does not find itself.
const anyOf = (...parts: string[][]) => parts.map((part) => part.join('')).join('|')
const registries = anyOf(
  ['npm', 'js\\.(org|com)'],
  ['npm\\.', 'pkg\\.github\\.com'],
  ['yarn', 'pkg\\.com'],
  ['py', 'pi\\.org'],
  ['python', 'hosted\\.org'],
  ['(proxy|sum)\\.', 'golang\\.org'],
  ['crates', '\\.io'],
  ['ruby', 'gems\\.org'],
)
const machine = anyOf(['/wo', 'rk/'], ['/ro', 'ot/'], ['/tmp/bash', '_jobs'])

suite('words', { skip: !existsSync(join(root, '.git')) && 'not a git checkout' }, () => {
  test('no file names the host of a package registry: where packages come from is the business of each machine', () => {
    assert.deepEqual(linesWith(new RegExp(registries, 'i')), [])
  })

  test('no file holds a path of the machine it was written on', () => {
    assert.deepEqual(linesWith(new RegExp(`(?<![\\w.})-])(${machine})`)), [])
  })

  test('no folder or file has a name that says nothing about what is in it', () => {
    const empty = /^(util|utils|helper|helpers|manager|managers|common)$/i
    const named = files().filter((file) => file.split('/').some((part) => empty.test(part.replace(/\..*$/, ''))))
    assert.deepEqual(named, [])
  })

  test('what is left to do has a number under which it can be followed', () => {
    assert.deepEqual(linesWith(new RegExp(`\\b(${anyOf(['TO', 'DO'], ['FIX', 'ME'])})\\b(?!\\s*\\(#\\d+\\))`)), [])
  })
})
