import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { startApiServer, type ApiServer, type Json } from './apiServer.ts'
import { install, releaseNamespace, rendered, secretPath, untilReady, webhookPath } from './installed.ts'
import { until } from './machine/until.ts'

let api: ApiServer
before(async () => {
  api = await startApiServer()
})
after(() => api.stop())

const boundMs = 30_000
const injector = `system:serviceaccount:${releaseNamespace}:outrider-injector`
const profilePath = `/api/v1/namespaces/${releaseNamespace}/configmaps/outrider-profile-default`

type Rule = {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** What the chart grants, one line for each rule: where, what, which, verbs. */
async function rights(values: object = {}): Promise<string[][]> {
  const roles = (await rendered(values)).filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
  return roles.flatMap(({ kind, rules }) =>
    (rules as Rule[]).flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
      resources.map((resource) => [
        kind === 'Role' ? 'release namespace' : 'cluster',
        [resource, ...apiGroups].filter((part) => part !== '').join('.'),
        resourceNames?.join(', ') ?? 'all',
        verbs.join(', '),
      ]),
    ),
  )
}

const eventsOn = async (namespace: string, reason: string): Promise<Json[]> => {
  const { items } = (await api.must('GET', `/api/v1/namespaces/${namespace}/events`)) as { items: Json[] }
  return items.filter((one) => one['reason'] === reason)
}

test('with the rights of the chart and no others nothing is denied, and each of them is used', async (t) => {
  const installed = await install(t, api)
  const replica = await installed.replica(t, '--overlap=1s')
  installed.serve(replica)
  await untilReady(replica)

  // A pod that is left alone: an Event on its owner.
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: '0b4d5dcd-0001-4000-8000-000000000001' }
  await api.must('POST', '/api/v1/namespaces/apps/pods', {
    metadata: { name: 'on-the-host', ownerReferences: [owner] },
    spec: { hostNetwork: true, containers: [{ name: 'app', image: 'app' }] },
  })
  const skipped = await until('the Event', async () => (await eventsOn('apps', 'NotInjectedHostNetwork'))[0], boundMs)
  assert.equal((skipped['involvedObject'] as Json)['name'], 'web')

  // A profile that cannot be used: the last good one stays, with an Event and a figure.
  const broken = { data: { 'profile.yaml': 'config: { upstreams: [] }' } }
  await api.must('PATCH', profilePath, broken, 'application/merge-patch+json')
  await until('it is refused', async () => (await replica.metric(/outrider_profiles\{state="refused"\}/)) === 1, boundMs)
  await until('the Event', async () => (await eventsOn(releaseNamespace, 'ProfileRefused')).length > 0, boundMs)
  const status = (await installed.createPod('with-the-last-good')) as { metadata: { labels: Json } }
  assert.equal(status.metadata.labels['outrider.dev/injected'], 'true')

  // Everything that is written again: the Secret, twice, and the webhook.
  await api.must('DELETE', secretPath)
  await until('the next authority signs', () => replica.stdout().includes('the next one signs from now on'), boundMs)
  await api.must('PATCH', webhookPath, [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }], 'application/json-patch+json')
  await until('repaired', async () => (await installed.webhook()).every(({ caBundle }) => caBundle !== ''), boundMs)
  await untilReady(replica)

  // What the injector says of itself meanwhile.
  for (const resource of ['webhook', 'profiles', 'secret']) {
    const age = await replica.metric(new RegExp(`outrider_watch_age_seconds\\{resource="${resource}"\\}`))
    assert.ok(age >= 0 && age < 150, `${resource}: ${age} s`)
  }
  assert.ok((await replica.metric(/outrider_events_total\{result="sent"\}/)) >= 2)
  assert.ok((await replica.metric(/outrider_injection_seconds_count/)) >= 2)

  const calls = api.audit().filter(({ user }) => user.username === injector)
  assert.deepEqual(
    calls.filter(({ responseStatus }) => responseStatus?.code === 403),
    [],
  )
  assert.ok(Number.isNaN(await replica.metric(/outrider_kube_requests_total\{result="403"\}/)))
  const used = new Set(calls.map(({ verb, objectRef = {} }) => `${verb} ${objectRef.resource}`))
  const granted = (await rights()).flatMap(([, resource = '', , verbs = '']) =>
    verbs.split(', ').map((verb) => `${verb} ${resource.split('.')[0]}`),
  )
  assert.deepEqual(
    granted.filter((one) => !used.has(one)),
    [],
  )
})

test('the README gives the reason of every right that the chart grants, and of no other', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const [, table = ''] = /<!-- rights[^>]*-->\n([\s\S]*?)<!-- end of rights -->/.exec(readme) ?? []
  const rows = table
    .trim()
    .split('\n')
    .slice(2)
    .map((row) => row.split('|').map((cell) => cell.trim().replaceAll('`', '')))
  assert.deepEqual(
    rows.map((row) => row.slice(1, 5)),
    await rights(),
  )
  for (const row of rows) assert.match(row[5] ?? '', /\w{3}/)
})

test('the other ways to a certificate need no right to Secrets, and less of the webhook', async () => {
  const files = await rights({ injector: { certificate: { mode: 'existingSecret', existingSecret: 'mine' } } })
  assert.deepEqual(files[0], [
    'cluster',
    'mutatingwebhookconfigurations.admissionregistration.k8s.io',
    'outrider-injector',
    'list, watch, patch',
  ])
  const manager = await rights({ injector: { certificate: { mode: 'certManager', certManager: { issuerRef: { name: 'internal' } } } } })
  assert.deepEqual(manager[0]?.[3], 'list, watch')
  for (const all of [files, manager]) assert.ok(all.every(([, resource]) => resource !== 'secrets'))
})
