import { strict as assert } from 'node:assert'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { readmeFile, withTables } from '../sidecar/readme.ts'

test('the tables of the README are those of the code; if not: npm run docs', async () => {
  const readme = await readFile(readmeFile, 'utf8')
  assert.equal(readme, withTables(readme))
})

test('the table of settings has the small, the deep and the named ones', async () => {
  const readme = await readFile(readmeFile, 'utf8')
  for (const row of [
    '| `listen.port` | `8080` | Port for the calls of the app; 0 takes any free one. *Needs no privilege.* |',
    '| `upstreams[].tls.ca` |  | PEM file with roots to trust for this upstream, besides the usual ones. |',
    '| `credentials.NAME.file` |  | File with the key; read again when it changes. |',
    '| `models[].price.input` | needed | Dollars for a million tokens sent. |',
  ]) {
    assert(readme.includes(`\n${row}\n`), row)
  }
})

test('a README without its place for a table is no README to write into', () => {
  assert.throws(() => withTables('# Nothing'), /the README has no place for its metrics/)
})
