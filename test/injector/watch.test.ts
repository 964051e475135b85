import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Kube } from '../../sidecar/injector/kube.ts'
import { isStatus, KubeError } from '../../sidecar/injector/kubeError.ts'
import { watch } from '../../sidecar/injector/watch.ts'
import { scripted, type Step } from './scripted.ts'

const list =
  (...values: string[]): Step =>
  (_, res) =>
    res.end(
      JSON.stringify({ metadata: { resourceVersion: '7' }, items: values.map((value, n) => ({ metadata: { name: `${n}` }, value })) }),
    )
const event = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`
const events =
  (...texts: string[]): Step =>
  (_, res) => {
    for (const text of texts) res.write(text)
    res.end()
  }
const open: Step = (_, res) => res.flushHeaders()
const cut: Step = (_, res) => {
  res.flushHeaders()
  setImmediate(() => res.destroy())
}
const fail =
  (status: number): Step =>
  (_, res) =>
    res.writeHead(status).end(JSON.stringify({ kind: 'Status', message: 'the reason' }))

/** Follows until the objects have these values; answers with what was said to be wrong on the way. */
async function follow(t: TestContext, kube: Kube, wanted: string): Promise<string[]> {
  const troubles: string[] = []
  const reached = Promise.withResolvers<void>()
  const watching = watch({
    kube,
    path: '/api/things',
    query: { fieldSelector: 'metadata.name=0' },
    changed: (objects) => {
      if ([...objects.values()].map((one) => one['value']).join() === wanted) reached.resolve()
    },
    troubled: (message) => troubles.push(message),
  })
  t.after(watching.close)
  await reached.promise
  assert.ok(watching.ageSeconds() < 60)
  return troubles
}

test('what is added, changed and deleted is followed, with bookmarks between', async (t) => {
  const two = { metadata: { name: '2' }, value: 'c' }
  const { kube, seen } = await scripted(t, [
    list('a', 'b'),
    (_, res) => {
      res.write(event('ADDED', two) + event('BOOKMARK', { metadata: {} }))
      // An event in two pieces.
      const text = event('MODIFIED', { ...two, value: 'd' }) + event('DELETED', { metadata: { name: '1' } })
      res.write(text.slice(0, 30))
      setImmediate(() => res.write(text.slice(30)))
    },
  ])
  assert.deepEqual(await follow(t, kube, 'a,d'), [])
  assert.match(seen[0] ?? '', /^\/behind\/api\/things\?fieldSelector=metadata\.name%3D0$/)
  assert.match(seen[1] ?? '', /watch=1&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=2\d\d$/)
})

test('after any error everything is listed again', async (t) => {
  const ways: [Step, RegExp | undefined][] = [
    [events(event('ERROR', { kind: 'Status', code: 410, message: 'too old resource version', metadata: {} })), /ended with ERROR: too old/],
    [events('{ this is no JSON\n'), /JSON/],
    [cut, /aborted|cut|closed|terminated/],
    [fail(410), /the reason \(410\)/],
    // The end that the server itself puts to each watch is no error.
    [events(), undefined],
  ]
  for (const [way, trouble] of ways) {
    const { kube } = await scripted(t, [list('a'), way, list('b'), open])
    const troubles = await follow(t, kube, 'b')
    assert.equal(troubles.length, trouble === undefined ? 0 : 1, troubles.join())
    if (trouble !== undefined) assert.match(troubles[0] ?? '', trouble)
  }
})

test('a list that fails is asked for again, and again', async (t) => {
  const { kube, results } = await scripted(t, [fail(500), (req) => req.socket.destroy(), (_, res) => res.end('<html>'), list('a'), open])
  const troubles = await follow(t, kube, 'a')
  assert.equal(troubles.length, 3)
  assert.match(troubles.join('\n'), /the reason \(500\)[\s\S]*cannot be reached[\s\S]*is not JSON/)
  assert.deepEqual(results.slice(0, 3), ['500', 'unreachable', '200'])
})

test('what the API server refuses is told in its words, with the status, and never with the token', async (t) => {
  const { kube } = await scripted(t, [fail(403)])
  await assert.rejects(kube.ask({ path: '/api/things' }), (err) => {
    assert.ok(err instanceof KubeError && isStatus(err, 403))
    assert.equal(err.message, 'GET /api/things: the reason (403)')
    assert.doesNotMatch(JSON.stringify(err) + String(err.stack), /secret-token/)
    return true
  })
})
