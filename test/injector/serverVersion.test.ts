import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openServerVersion } from '../../sidecar/injector/serverVersion.ts'
import { scripted, type Step } from './scripted.ts'

const version =
  (major: string, minor: string): Step =>
  (_, res) =>
    res.end(JSON.stringify({ major, minor, gitVersion: `v${major}.${minor}.1` }))

test('the version of the API server is asked for until it is known, as clouds write it too, and said once', async (t) => {
  const { kube, seen } = await scripted(t, [
    (_, res) => res.writeHead(503).end('{}'),
    version('2', '0'),
    version('1', ''),
    version('1', '33+'),
  ])
  const said: string[] = []
  const known = Promise.withResolvers<void>()
  const say = (level: string, message: string): void => {
    said.push(`${level}: ${message}`)
    if (level === 'info') known.resolve()
  }
  const server = openServerVersion({ kube, say })
  t.after(server.close)
  assert.equal(server.minor(), undefined)
  await known.promise
  assert.equal(server.minor(), 33)
  assert.deepEqual(new Set(seen), new Set(['/behind/version']))
  assert.equal(said.length, 4)
  assert.match(said[0] ?? '', /^warn: the version of the API server is not known: .*\(503\)$/)
  assert.match(said[1] ?? '', /\/version says 2\.0, which is no version of Kubernetes 1$/)
  assert.match(said[2] ?? '', /\/version says 1\., which is no version of Kubernetes 1$/)
  assert.equal(said[3], 'info: the API server is v1.33+.1')
})
