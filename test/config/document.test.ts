import { strict as assert } from 'node:assert'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { loadConfig } from '../../sidecar/config/config.ts'
import { refusalOf, withSettings } from './refusal.ts'

const faults: readonly (readonly [what: string, text: string, line: string])[] = [
  ['an empty text', '', ': is empty'],
  ['a text of comments', '# nothing\n', ': is empty'],
  ['a list', '- a', ':1:1: must be a mapping, not a list'],
  ['a JSON list', '[1]', ': must be a mapping, not a list'],
  ['a word', 'hello', ':1:1: must be a mapping, not "hello"'],
  ['a key written twice', 'log: {}\nlog: {}', ':2:1: is not YAML: this key is already there above: keep one of the two'],
  ['a tab as indentation', 'log:\n\tlevel: info', ':2:1: is not YAML: a tab in the indentation: use spaces'],
  ['a second document', 'log: {}\n---\nlog: {}', ':2:1: is not YAML: a second document starts here (---): one file holds one config'],
  ['a bracket that is never closed', '{"log": {', ':1:10: is not YAML: wrong indentation, or a bracket further up is never closed'],
  ['a star without quotes', 'a: [*.svc]', ':1:5: an alias (*name) without its anchor (&name); a text that starts with * needs quotes'],
  ['a key that is a list', '? [a]\n: b', ':1:3: is not YAML: a key must be a plain text'],
  ['an unknown tag', 'a: !secret b', ':1:4: is not YAML: unknown tag (!name): write the plain value'],
]

for (const [what, text, line] of faults) {
  test(`${what} is refused, with its place`, async () => {
    assert.deepEqual(await refusalOf(text), [line])
  })
}

test('anchors that multiply are refused before they fill the memory', async () => {
  const levels = ['a: &a [x, x, x, x, x, x, x, x, x]']
  for (const name of 'bcdefgh') {
    const above = String.fromCharCode(name.charCodeAt(0) - 1)
    levels.push(`${name}: &${name} [${Array(9).fill(`*${above}`).join(', ')}]`)
  }
  assert.deepEqual(await refusalOf(levels.join('\n')), [': has more than 100 aliases (*name)'])
})

test('a text nested beyond reason is refused, YAML or JSON', async () => {
  assert.equal((await refusalOf('['.repeat(50_000))).length, 1)
  assert.equal((await refusalOf('['.repeat(50_000) + ']'.repeat(50_000))).length, 1)
})

test('one slip is told once, however far the parser stumbles', async () => {
  assert((await refusalOf('[[[['.repeat(5000))).length <= 10)
  const wrong = Array.from({ length: 20 }, (_, index) => `key${index}: @`)
  assert.equal((await refusalOf(wrong.join('\n'))).length, 10)
})

suite('a config file', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'config-'))
  })
  after(() => rm(folder, { recursive: true }))

  const load = (path: string) => refusalOf('', () => loadConfig(path))

  test('is read from its path', async () => {
    const path = join(folder, 'good.json')
    await writeFile(path, withSettings())
    assert.equal((await loadConfig(path)).config.upstreams[0]?.name, 'sheep')
  })

  test('that does not exist, is a folder or lies beneath a file is refused in a sentence', async () => {
    const file = join(folder, 'file')
    await writeFile(file, 'x')
    assert.deepEqual(await load(join(folder, 'none.yaml')), [
      `${folder}/none.yaml: does not exist: check the path, or what is mounted there`,
    ])
    assert.deepEqual(await load(folder), [`${folder}: is a folder, not a file`])
    assert.deepEqual(await load(`${file}/x`), [`${file}/x: does not exist: a part of the path is a file`])
  })

  test('that may not be read is refused in a sentence', { skip: process.getuid?.() === 0 && 'root may read everything' }, async () => {
    const path = join(folder, 'closed.yaml')
    await writeFile(path, 'x')
    await chmod(path, 0)
    assert.deepEqual(await load(path), [`${path}: cannot be read: permission denied`])
  })

  test('that is no text, or far too long, is refused in a sentence', async () => {
    const path = join(folder, 'odd.yaml')
    await writeFile(path, Buffer.from([0xc3, 0x28]))
    assert.deepEqual(await load(path), [`${path}: is not UTF-8 text`])
    await writeFile(path, '#'.repeat(2 ** 20 + 1))
    assert.deepEqual(await load(path), [`${path}: is larger than 1MiB, the most that is read`])
  })
})
