import assert from 'node:assert/strict'
import { test } from 'node:test'
import { theCluster } from './driver/cluster.ts'
import { condition, isReady } from './driver/conditions.ts'
import { startProvider } from './provider.ts'
import { app, pod, podSpec, settings } from './pods.ts'

const cluster = theCluster()

test('an app with curl and the OpenAI client calls its localhost, and cannot read the key', async (t) => {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace)
  await namespace.apply(...settings(), pod('chat', { containers: [app(['sleep', '3600'])] }))
  await namespace.waitFor('pods', 'chat', isReady)
  const inApp = (...command: readonly string[]) => namespace.exec('chat', 'app', command)

  const asked = JSON.parse(await inApp('node', '/app/ask.cjs'))
  assert.equal(asked.key, 'first')
  assert.match(asked.text, /\w/)
  const body = JSON.stringify({ model: 'gpt-5-mini', stream: true, messages: [{ role: 'user', content: 'hi' }] })
  const curl = ['curl', '-sS', '-m', '20', '-H', 'content-type: application/json', '-d', body]
  const streamed = await inApp(...curl, 'http://localhost:8080/v1/chat/completions')
  assert.match(streamed, /\ndata: \[DONE\]\n/)

  // Everything that the app can look at: its environment, its files, those of the other processes it sees, the ports of the sidecar.
  const seen = [
    await inApp('env'),
    await inApp(
      'sh',
      '-c',
      'cat /proc/[0-9]*/environ; ls -lR /run /etc/outrider 2>&1; grep -r sk-first /etc /run /app /tmp /var 2>&1; true',
    ),
    ...(await Promise.all(
      ['9090/metrics', '9091/status', '8080/v1/stats', '8080/health'].map((path) =>
        inApp('curl', '-sS', '-m', '10', `http://localhost:${path}`),
      ),
    )),
    await namespace.logs('chat', 'outrider'),
  ]
  for (const text of seen) assert.doesNotMatch(text, /sk-first/)
  assert.match(seen.join('\n'), /outrider_/)
})

test('a Job completes with the sidecar in it, and its init container can call as well', async (t) => {
  const namespace = await cluster.namespace(t)
  await startProvider(cluster, namespace)
  await namespace.apply(...settings())
  const ask = ['node', '/app/ask.cjs']
  const spec = podSpec({ containers: [app(ask)], init: [app(ask, { name: 'prepare' })], more: { restartPolicy: 'Never' } })
  await namespace.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'once' }, spec: { backoffLimit: 0, template: { spec } } })
  await namespace.waitFor('jobs', 'once', ({ status }) => condition(status, 'Complete'))
  const { metadata, status } = await namespace.waitForAll('pods', (pods) => pods.find((one) => one.metadata.name.startsWith('once')))
  for (const container of ['prepare', 'app']) assert.equal(JSON.parse(await namespace.logs(metadata.name, container)).key, 'first')
  const [ours] = status.initContainerStatuses
  assert.equal(ours.state.terminated.exitCode, 0)
  assert.equal(ours.restartCount, 0)
})
