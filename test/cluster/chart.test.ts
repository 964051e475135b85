import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseProfile } from '../../sidecar/injector/profile.ts'
import { makeAuthority } from '../../sidecar/injector/certificate/issue.ts'
import { startApiServer, type ApiServer, type Json } from './apiServer.ts'
import { chart, namespace, releaseNamespace, rendered, webhookPath, type Rendered } from './installed.ts'
import { tool } from './machine/programs.ts'
import { run } from './machine/run.ts'

let api: ApiServer
before(async () => {
  api = await startApiServer()
  await namespace(api, releaseNamespace)
})
after(() => api.stop())

const profiles = { default: { config: { upstreams: [{ name: 'fake', url: 'http://127.0.0.1:9/v1' }] }, secret: { name: 'keys' } } }

const named = (objects: readonly Rendered[], kind: string): Rendered => {
  const found = objects.find((one) => one.kind === kind)
  assert.ok(found, `there is a ${kind}`)
  return found
}

test('both Helms find nothing to complain about and make the same of it', async () => {
  for (const which of ['helm3', 'helm4'] as const)
    assert.match(await run(await tool(which), ['lint', '--strict', chart]), /0 chart\(s\) failed/)
  const byKind = (objects: Rendered[]) => objects.toSorted((a, b) => (a.kind < b.kind ? -1 : 1))
  assert.deepEqual(byKind(await rendered({ profiles }, 'helm3')), byKind(await rendered({ profiles }, 'helm4')))
})

test('values that cannot work are refused with their name', async () => {
  const cases: [object, RegExp][] = [
    [{ injector: { certificate: { mode: 'Auto' } } }, /\/injector\/certificate\/mode/],
    [{ injector: { replicas: 0 } }, /\/injector\/replicas/],
    [{ injecter: {} }, /injecter/],
    [{ injector: { certificate: { mode: 'existingSecret' } } }, /existingSecret names the Secret with tls\.crt/],
    [{ injector: { certificate: { mode: 'certManager' } } }, /issuerRef names the issuer/],
  ]
  for (const [values, message] of cases) await assert.rejects(rendered(values), message)
})

test('the two entries of the webhook share no pod and leave none out', async () => {
  const { webhooks } = named(await rendered(), 'MutatingWebhookConfiguration') as unknown as { webhooks: Entry[] }
  assert.deepEqual(
    webhooks.map(({ name }) => name),
    ['namespace.injector.outrider.dev', 'pod.injector.outrider.dev'],
  )
  const asked = (spaceLabels: Labels, podLabels: Labels): number =>
    webhooks.filter((one) => selects(one.namespaceSelector, spaceLabels) && selects(one.objectSelector, podLabels)).length
  const values = [undefined, 'enabled', 'disabled', 'enbaled']
  const labels = (value: string | undefined): Labels => (value === undefined ? {} : { 'outrider.dev/inject': value })
  for (const space of values) {
    for (const pod of values) {
      const wanted = pod === 'disabled' ? 0 : pod !== undefined || space === 'enabled' ? 1 : 0
      assert.equal(asked({ 'kubernetes.io/metadata.name': 'apps', ...labels(space) }, labels(pod)), wanted, `${space} ${pod}`)
    }
  }
  for (const name of ['kube-system', 'kube-public', 'kube-node-lease', releaseNamespace]) {
    assert.equal(asked({ 'kubernetes.io/metadata.name': name, ...labels('enabled') }, labels('enabled')), 0)
  }
  for (const entry of webhooks) {
    assert.equal('caBundle' in entry.clientConfig, false)
    assert.equal('matchConditions' in entry, false)
  }
})

test('a slip in a profile is refused by Helm, with its place', async () => {
  const upstreams = [{ name: 'fake', url: 'http://127.0.0.1:9/v1' }]
  for (const [profile, place] of [
    [{ config: { upstreams, limits: { inFlght: 1 } } }, 'inFlght'],
    [{ config: { upstreams, timeouts: { total: 5 } } }, 'total'],
    [{ config: {} }, 'upstreams'],
    [{ config: { upstreams }, inject: { cpuRequest: '20x' } }, 'cpuRequest'],
  ] as const) {
    for (const helm of ['helm3', 'helm4'] as const)
      await assert.rejects(rendered({ profiles: { default: profile } }, helm), new RegExp(`schema[^]*${place}`))
  }
})

test('the Deployment is let into a restricted namespace, and its profiles are ones that the injector takes', async () => {
  await namespace(api, 'strict', { 'pod-security.kubernetes.io/enforce': 'restricted' })
  const objects = await rendered({ profiles, sidecar: { runAsUser: 1_000_660_000 } })
  const { spec } = named(objects, 'Deployment') as unknown as { spec: { template: { spec: { containers: { args: string[] }[] } } } }
  assert.ok(spec.template.spec.containers[0]?.args.includes('--run-as-user=1000660000'))
  await api.must('POST', '/api/v1/namespaces/strict/pods', { metadata: { name: 'injector' }, spec: spec.template.spec })
  const map = named(objects, 'ConfigMap') as unknown as { metadata: { labels: Labels }; data: Record<string, string> }
  assert.equal(map.metadata.labels['outrider.dev/profile'], 'default')
  const { profile } = await parseProfile('default', map.data['profile.yaml'] ?? '', 'chart')
  assert.equal(profile.config.upstreams[0]?.name, 'fake')
})

for (const which of ['helm3', 'helm4'] as const) {
  test(`an upgrade by ${which} leaves the caBundle as the injector wrote it`, async (t) => {
    const program = await tool(which)
    const kubeconfig = join(api.folder, 'admin.json')
    const cluster = { server: api.url, 'certificate-authority': join(api.folder, 'pki/apiserver.crt') }
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: 'test', cluster }],
        users: [{ name: 'admin', user: { token: api.adminToken } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
        'current-context': 'test',
      }),
    )
    const home = { HELM_CACHE_HOME: api.folder, HELM_CONFIG_HOME: api.folder, HELM_DATA_HOME: api.folder, KUBECONFIG: kubeconfig }
    const release = (...args: string[]) => run(program, [...args, '-n', releaseNamespace], { env: home })
    await release('install', 'outrider', chart)
    t.after(() => release('uninstall', 'outrider'))
    const value = Buffer.from((await makeAuthority({ now: Date.now(), lifeMs: 3_600_000 })).cert).toString('base64')
    const patch = [0, 1].map((index) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value }))
    await api.must('PATCH', `${webhookPath}?fieldManager=outrider-injector`, patch, 'application/json-patch+json')
    for (const timeout of [7, 9]) {
      await release('upgrade', 'outrider', chart, '--set', `injector.webhook.timeoutSeconds=${timeout}`)
      const { webhooks } = (await api.must('GET', webhookPath)) as { webhooks: { timeoutSeconds: number; clientConfig: Json }[] }
      assert.deepEqual(
        webhooks.map((one) => [one.timeoutSeconds, one.clientConfig['caBundle']]),
        [
          [timeout, value],
          [timeout, value],
        ],
      )
    }
  })
}

type Labels = Readonly<Record<string, string>>
type Selector = { readonly matchExpressions: readonly { key: string; operator: string; values?: string[] }[] }
type Entry = { readonly name: string; readonly clientConfig: Json; readonly namespaceSelector: Selector; readonly objectSelector: Selector }

/** As the API server reads a selector: what is absent is not in any list. */
function selects({ matchExpressions }: Selector, labels: Labels): boolean {
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'Exists') return value !== undefined
    const within = value !== undefined && values.includes(value)
    return operator === 'In' ? within : !within
  })
}
