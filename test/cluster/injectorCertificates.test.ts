import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import { toSecretData, fromSecretData, type Authorities } from '../../sidecar/injector/certificate/authorities.ts'
import { issueLeaf, makeAuthority } from '../../sidecar/injector/certificate/issue.ts'
import { certificatesIn } from '../../sidecar/injector/certificate/trust.ts'
import { mountedSecret } from '../fixtures/mountedSecret.ts'
import { distrusted, steadyLoad } from './admissions.ts'
import { startApiServer, type ApiServer, type Json } from './apiServer.ts'
import { containersOf, install, releaseNamespace, secretPath, untilReady, webhookPath } from './installed.ts'
import { until } from './machine/until.ts'

let api: ApiServer
before(async () => {
  api = await startApiServer()
})
after(() => api.stop())

const hour = 3_600_000
const soonMs = 30_000

async function authorities(): Promise<Authorities | undefined> {
  const { status, body } = await api.ask('GET', secretPath)
  return status === 200 ? fromSecretData(body['data']) : undefined
}

const putSecret = (state: Authorities): Promise<Json> =>
  api.must('POST', `/api/v1/namespaces/${releaseNamespace}/secrets`, {
    metadata: { name: 'outrider-injector-ca', labels: { 'app.kubernetes.io/managed-by': 'outrider-injector' } },
    data: toSecretData(state),
  })

test('a fresh install: the injector makes its certificates, is believed by the API server, and a pod gets its sidecar', async (t) => {
  const installed = await install(t, api)
  const replica = await installed.replica(t)
  installed.serve(replica)
  await untilReady(replica)
  assert.deepEqual(containersOf(await installed.createPod('first')), ['outrider', 'app'])
  const { metadata } = (await api.must('GET', secretPath)) as { metadata: { ownerReferences: Json[] } }
  assert.equal(metadata.ownerReferences[0]?.['kind'], 'ServiceAccount')
  assert.ok((await replica.metric(/outrider_certificate_expiry_timestamp_seconds\{kind="leaf"\}/)) > Date.now() / 1_000)
  replica.child.kill('SIGTERM')
  assert.deepEqual(await replica.exit, { code: 0, signal: null })
  // Pods of labelled namespaces wait now, and all others start.
  await assert.rejects(installed.createPod('refused'), /failed calling webhook \\"namespace\.injector\.outrider\.dev\\"/)
  assert.deepEqual(containersOf(await installed.createPod('other', { namespace: releaseNamespace })), ['app'])
  await assert.rejects(installed.createPod('asks', { namespace: 'default', labels: { 'outrider.dev/inject': 'enabled' } }), /pod\.injector/)
})

test('three replicas that start at once end with one authority, and each is trusted', async (t) => {
  const installed = await install(t, api)
  const replicas = await Promise.all([installed.replica(t), installed.replica(t), installed.replica(t)])
  installed.serve(...replicas)
  await Promise.all(replicas.map(untilReady))
  const bundles = await installed.webhook()
  const state = await authorities()
  assert.ok(state)
  assert.equal(state.next, undefined)
  assert.deepEqual(state.old, [])
  for (const { caBundle } of bundles) {
    assert.deepEqual(certificatesIn(caBundle).map(String), [state.signing.cert])
    for (const replica of replicas) assert.equal(await distrusted(replica.port(), caBundle), undefined)
  }
  assert.equal(bundles.length, 2)
  assert.deepEqual(containersOf(await installed.createPod('raced')), ['outrider', 'app'])
})

test('authorities and leaves are renewed under a steady load, and no admission fails', async (t) => {
  const installed = await install(t, api)
  const lives = ['--authority-life=24s', '--leaf-life=9s', '--overlap=2s']
  const replicas = await Promise.all([installed.replica(t, ...lives), installed.replica(t, ...lives)])
  installed.serve(...replicas)
  await Promise.all(replicas.map(untilReady))
  const signing = new Set<string>()
  const load = steadyLoad(t, installed, replicas)
  await until(
    'two rotations',
    async () => {
      signing.add((await authorities())?.signing.cert ?? '')
      return signing.size > 2
    },
    100_000,
  )
  // Until the replicas have taken it up as well.
  await until(
    'leaves of the new authority',
    async () => {
      const cert = (await authorities())?.signing.cert ?? ''
      return (await Promise.all(replicas.map((one) => distrusted(one.port(), cert)))).every((why) => why === undefined)
    },
    soonMs,
  )
  const { admitted, handshakes, failures } = await load.stop()
  assert.deepEqual(failures, [])
  assert.ok(admitted > 100 && handshakes > 100, `${admitted} admissions, ${handshakes} handshakes`)
  t.diagnostic(`${admitted} admissions and ${handshakes} handshakes during two rotations`)
})

test('a Secret deleted by hand comes back, another authority takes over, and no admission fails', async (t) => {
  const installed = await install(t, api)
  const replicas = await Promise.all([installed.replica(t, '--overlap=2s'), installed.replica(t, '--overlap=2s')])
  installed.serve(...replicas)
  await Promise.all(replicas.map(untilReady))
  const before = await authorities()
  assert.ok(before)
  const load = steadyLoad(t, installed, replicas)
  await api.must('DELETE', secretPath)
  const taken = await until(
    'another authority',
    async () => {
      const now = await authorities()
      return now?.signing.cert === before.signing.cert ? undefined : now
    },
    soonMs,
  )
  assert.equal(taken.old[0]?.cert, before.signing.cert)
  const { failures } = await load.stop()
  assert.deepEqual(failures, [])
})

test('a Secret that somebody replaced is taken up without a gap, and one that was damaged is put right', async (t) => {
  const installed = await install(t, api)
  const replica = await installed.replica(t, '--overlap=2s')
  installed.serve(replica)
  await untilReady(replica)
  const before = await authorities()
  const load = steadyLoad(t, installed, [replica])
  const stranger = await makeAuthority({ now: Date.now(), lifeMs: 1_000 * hour })
  await api.must('PATCH', secretPath, { data: toSecretData({ signing: stranger, old: [] }) }, 'application/merge-patch+json')
  const isKept = async () => (await authorities())?.old.some(({ cert }) => cert === before?.signing.cert)
  await until('the one in use is kept', isKept, soonMs)
  await until('a leaf of the stranger', async () => (await distrusted(replica.port(), stranger.cert)) === undefined, soonMs)
  await api.must('PATCH', secretPath, { data: { 'authorities.json': 'AAAA' } }, 'application/merge-patch+json')
  await until('the Secret is whole', authorities, soonMs)
  assert.deepEqual((await load.stop()).failures, [])
})

test('a caBundle that was edited by hand, or lost by a replace, is repaired within a second', async (t) => {
  const installed = await install(t, api)
  const replica = await installed.replica(t, '--overlap=2s')
  installed.serve(replica)
  await untilReady(replica)
  const foreign = await makeAuthority({ now: Date.now(), lifeMs: hour })
  const encoded = (text: string) => Buffer.from(text).toString('base64')
  const edit = (index: number, value: string) =>
    api.must('PATCH', webhookPath, [{ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value }], 'application/json-patch+json')
  const replace = async (): Promise<void> => {
    const live = (await api.must('GET', webhookPath)) as { webhooks: { clientConfig: Json }[] }
    const webhooks = live.webhooks.map((one) => ({ ...one, clientConfig: { url: one.clientConfig['url'] } }))
    await api.must('PUT', webhookPath, { ...live, webhooks })
  }
  const spoils = [() => edit(1, ''), () => edit(0, encoded(foreign.cert)), replace]
  const took: number[] = []
  for (const spoil of spoils) {
    await spoil()
    const began = performance.now()
    const isTrusted = async () => {
      const bundles = await installed.webhook()
      return (await Promise.all(bundles.map(({ caBundle }) => distrusted(replica.port(), caBundle)))).every((why) => why === undefined)
    }
    await until('the caBundle is repaired', isTrusted, soonMs)
    took.push(Math.round(performance.now() - began))
  }
  t.diagnostic(`repaired after ${took.join(', ')} ms`)
  assert.ok(Math.min(...took) < 1_000, `repaired after ${took.join(', ')} ms`)
  // One that is not ours may be of a replica that has not said so yet: it stays for the overlap, and goes when nobody has claimed it.
  await edit(0, encoded(foreign.cert))
  const isRepaired = async () => certificatesIn((await installed.webhook())[0]?.caBundle ?? '').length === 2
  await until('both are there', isRepaired, soonMs)
  const isGone = async () => (await installed.webhook()).every(({ caBundle }) => certificatesIn(caBundle).length === 1)
  await until('the stranger is gone', isGone, soonMs)
  assert.ok((await replica.metric(/outrider_ca_bundle_repairs_total/)) >= 5)
})

test('who writes the caBundle again and again is told of, and not fought', async (t) => {
  const installed = await install(t, api)
  const replica = await installed.replica(t)
  installed.serve(replica)
  await untilReady(replica)
  const remove = [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }]
  const told = (): boolean => replica.stdout().includes('somebody else writes the caBundle of outrider-injector again and again')
  for (let times = 0; times < 30 && !told(); times++) {
    await api.must('PATCH', webhookPath, remove, 'application/json-patch+json')
    const isBack = async () => told() || (await installed.webhook())[0]?.caBundle !== ''
    await until('it is back', isBack, soonMs)
  }
  assert.ok(told())
  assert.equal((await installed.webhook())[0]?.caBundle, '')
})

test('an authority about to end is followed by another before it does, and no admission fails', async (t) => {
  const installed = await install(t, api)
  const now = Date.now()
  const signing = await makeAuthority({ now, lifeMs: 15_000 })
  await putSecret({ signing: { ...signing }, old: [] })
  // Made with a life of days: for those who read it now, its last third began long ago.
  const replicas = await Promise.all([installed.replica(t, '--overlap=2s'), installed.replica(t, '--overlap=2s')])
  installed.serve(...replicas)
  await Promise.all(replicas.map(untilReady))
  const load = steadyLoad(t, installed, replicas)
  const ends = new X509Certificate(signing.cert).validToDate.getTime()
  await until('the end of the first authority', () => Date.now() > ends + 1_000, soonMs)
  const { failures, admitted } = await load.stop()
  assert.deepEqual(failures, [])
  assert.ok(admitted > 50)
  const later = await authorities()
  assert.ok(later !== undefined && new X509Certificate(later.signing.cert).validToDate.getTime() > now + 1_000 * hour)
})

test('an authority that has ended while nobody looked is replaced at the start', async (t) => {
  const installed = await install(t, api)
  const gone = await makeAuthority({ now: Date.now() - 2 * hour, lifeMs: hour })
  await putSecret({ signing: gone, old: [] })
  const replica = await installed.replica(t)
  installed.serve(replica)
  await untilReady(replica)
  assert.notEqual((await authorities())?.signing.cert, gone.cert)
  assert.deepEqual(containersOf(await installed.createPod('after-the-end')), ['outrider', 'app'])
})

test('a Secret of that name which is not ours is left alone, and the probe says what to do', async (t) => {
  const installed = await install(t, api)
  const data = { something: 'ZWxzZQ==' }
  await api.must('POST', `/api/v1/namespaces/${releaseNamespace}/secrets`, { metadata: { name: 'outrider-injector-ca' }, data })
  const replica = await installed.replica(t)
  await replica.printed('it is not ours to write')
  assert.equal(await replica.ready(), 'no certificate yet')
  assert.deepEqual((await api.must('GET', secretPath))['data'], data)
})

test('without its webhook a replica is not ready and says so; when it is there again, it is', async (t) => {
  const installed = await install(t, api)
  const replica = await installed.replica(t)
  installed.serve(replica)
  await untilReady(replica)
  const live = await api.must('GET', webhookPath)
  await api.must('DELETE', webhookPath)
  await until(
    'the probe says so',
    async () => (await replica.ready()) === 'there is no MutatingWebhookConfiguration outrider-injector',
    soonMs,
  )
  const { metadata, ...rest } = live as { metadata: { name: string } } & Json
  await api.must('POST', webhookPath.replace(/\/[^/]*$/, ''), { ...rest, metadata: { name: metadata.name } })
  await untilReady(replica)
})

test('an API server that goes away and comes back is followed again', async (t) => {
  const installed = await install(t, api)
  const replica = await installed.replica(t)
  installed.serve(replica)
  await untilReady(replica)
  await api.restart(async () => {
    await replica.printed(/listing again/)
  })
  await api.must('PATCH', webhookPath, [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }], 'application/json-patch+json')
  await until('repaired', async () => (await installed.webhook()).every(({ caBundle }) => caBundle !== ''), 60_000)
  await untilReady(replica)
  assert.deepEqual(containersOf(await installed.createPod('after-the-outage')), ['outrider', 'app'])
})

test('a certificate of files is read again when they change, and its authority is added to the caBundle', async (t) => {
  const installed = await install(t, api, { injector: { certificate: { mode: 'existingSecret', existingSecret: 'mine' } } })
  const life = { now: Date.now(), lifeMs: hour }
  const entries = async () => {
    const ca = await makeAuthority(life)
    const { cert, key } = await issueLeaf(ca, ['127.0.0.1'], life)
    return { 'tls.crt': cert, 'tls.key': key, 'ca.crt': ca.cert }
  }
  const first = await entries()
  const mounted = mountedSecret(t, first)
  const files = ['--certificate=files', `--cert=${mounted.file('tls.crt')}`, `--key=${mounted.file('tls.key')}`]
  const replica = await installed.replica(t, ...files, `--ca=${mounted.file('ca.crt')}`)
  installed.serve(replica)
  await untilReady(replica)
  const second = await entries()
  mounted.swap(second)
  await until('the second certificate', async () => (await distrusted(replica.port(), second['ca.crt'])) === undefined, soonMs)
  await untilReady(replica)
  const [entry] = await installed.webhook()
  // Another replica may still have the first.
  assert.deepEqual(new Set(certificatesIn(entry?.caBundle ?? '').map(String)), new Set([first['ca.crt'], second['ca.crt']]))
  assert.deepEqual(containersOf(await installed.createPod('by-files')), ['outrider', 'app'])
})

test('where cert-manager writes the caBundle, the injector waits for it and writes nothing', async (t) => {
  const certificate = { mode: 'certManager', certManager: { issuerRef: { name: 'internal' } } }
  const installed = await install(t, api, { injector: { certificate } })
  const life = { now: Date.now(), lifeMs: hour }
  const ca = await makeAuthority(life)
  const { cert, key } = await issueLeaf(ca, ['127.0.0.1'], life)
  const mounted = mountedSecret(t, { 'tls.crt': cert, 'tls.key': key })
  const replica = await installed.replica(t, '--certificate=files', `--cert=${mounted.file('tls.crt')}`, `--key=${mounted.file('tls.key')}`)
  installed.serve(replica)
  await until('the probe says so', async () => (await replica.ready()).includes('its caBundle is empty'), soonMs)
  const value = Buffer.from(ca.cert).toString('base64')
  const patch = [0, 1].map((index) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value }))
  await api.must('PATCH', webhookPath, patch, 'application/json-patch+json')
  await untilReady(replica)
  assert.deepEqual(containersOf(await installed.createPod('by-cert-manager')), ['outrider', 'app'])
})
