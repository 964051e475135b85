import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { test } from 'node:test'
import { rawOf, type Raw } from '../../sidecar/injector/raw.ts'
import { testCertificates } from '../fixtures/providerTls.ts'
import { applied } from './applied.ts'
import { answered, podWith, review, served, type Answer } from './served.ts'

interface Response {
  readonly uid: string
  readonly allowed: boolean
  readonly patchType?: string
  readonly patch?: string
  readonly warnings?: readonly string[]
  readonly status?: { readonly code: number; readonly message: string }
}

const responseOf = (answer: Answer): Response => {
  assert.equal(answer.status, 200, answer.text)
  return answer.json()['response'] as Response
}

test('a review is answered with a patch that makes of the pod one with a sidecar', async (t) => {
  const webhook = await served(t)
  const pod = podWith()
  const answer = await webhook.post(review({ pod }))
  assert.deepEqual([answer.json()['apiVersion'], answer.json()['kind']], ['admission.k8s.io/v1', 'AdmissionReview'])
  const response = responseOf(answer)
  assert.deepEqual([response.uid, response.allowed, response.patchType], ['705ab4f5-6393-11e8-b7cc-42010a800002', true, 'JSONPatch'])
  const patch = JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()) as { op: string; path: string }[]
  const { spec } = applied(pod, patch) as { spec: { initContainers: { name: string; restartPolicy: string }[] } }
  assert.deepEqual([spec.initContainers[0]?.name, spec.initContainers[0]?.restartPolicy], ['outrider', 'Always'])
  assert.equal(response.warnings, undefined)
  assert.match(await webhook.registry.metrics(), /outrider_injections_total\{result="injected",reason="new"\} 1/)
})

test('a pod that is left alone says so to who asks, to its owner and to the metric, and on a dry run to who asks alone', async (t) => {
  const webhook = await served(t)
  const pod = podWith({ spec: { hostNetwork: true } })
  const response = responseOf(await webhook.post(review({ pod })))
  assert.deepEqual([response.allowed, response.patch], [true, undefined])
  assert.match(response.warnings?.[0] ?? '', /^outrider: this pod gets no sidecar: it uses the network of its node/)
  assert.deepEqual(
    webhook.noted.map(({ kind, namespace, owner, reason }) => [kind, namespace, owner, reason]),
    [['skipped', 'team-a', { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'chat', uid: '1' }, 'NotInjectedHostNetwork']],
  )
  assert.match(await webhook.registry.metrics(), /outrider_injections_total\{result="skipped",reason="host_network"\} 1/)
  responseOf(await webhook.post(review({ pod, dryRun: true })))
  responseOf(await webhook.post(review({ pod: { ...pod, metadata: { name: 'bare' } } })))
  assert.equal(webhook.noted.length, 1)
})

test('a pod that asks for something wrong is refused with what would be right', async (t) => {
  const webhook = await served(t)
  const pod = podWith({ metadata: { annotations: { 'outrider.dev/prot': '8081' } } })
  const { allowed, status, patch } = responseOf(await webhook.post(review({ pod })))
  assert.deepEqual([allowed, status?.code, patch], [false, 403, undefined])
  assert.equal(status?.message, 'annotation outrider.dev/prot: is not known; did you mean outrider.dev/port?')
  assert.match(await webhook.registry.metrics(), /outrider_injections_total\{result="denied",reason="denied"\} 1/)
})

test('what is no review is refused with the reason', async (t) => {
  const webhook = await served(t)
  const changed = (change: (whole: { request: Record<string, unknown> } & Record<string, unknown>) => void): string => {
    const whole = JSON.parse(review()) as { request: Record<string, unknown> } & Record<string, unknown>
    change(whole)
    return JSON.stringify(whole)
  }
  const cases: [body: string, reason: RegExp][] = [
    ['', /not JSON/],
    ['{"kind":', /not JSON/],
    ['[]', /no AdmissionReview/],
    ['null', /no AdmissionReview/],
    [changed((whole) => (whole['apiVersion'] = 'admission.k8s.io/v1beta1')), /apiVersion must be admission\.k8s\.io\/v1/],
    [changed((whole) => delete (whole as Record<string, unknown>)['request']), /request is missing/],
    [changed(({ request }) => delete request['uid']), /uid is missing/],
    [changed(({ request }) => (request['kind'] = { group: 'apps', version: 'v1', kind: 'Deployment' })), /must be a Pod/],
    [changed(({ request }) => (request['operation'] = 'UPDATE')), /must be CREATE/],
    [changed(({ request }) => (request['subResource'] = 'ephemeralcontainers')), /subResource/],
    [changed(({ request }) => (request['namespace'] = '')), /namespace is missing/],
    [changed(({ request }) => (request['object'] = null)), /object is missing/],
  ]
  for (const [body, reason] of cases) {
    const answer = await webhook.post(body)
    assert.equal(answer.status, 400, body)
    assert.match(answer.text, reason)
  }
  assert.match(await webhook.registry.metrics(), new RegExp(`result="failed",reason="malformed"\\} ${cases.length}\n`))
})

test('only POST /inject with JSON is served', async (t) => {
  const webhook = await served(t)
  assert.equal((await webhook.post(review(), { path: '/' })).status, 404)
  assert.equal((await webhook.post('', { method: 'GET' })).status, 405)
  assert.equal((await webhook.post(review(), { headers: { 'content-type': 'text/plain' } })).status, 415)
  assert.equal((await webhook.post(review(), { path: '/inject?timeout=5s' })).status, 200)
})

test('a body above the limit is refused, be its length told or not', async (t) => {
  const webhook = await served(t)
  const told = webhook.begin({ headers: { 'content-length': 5_000_000 } })
  told.on('error', () => {})
  told.flushHeaders()
  assert.equal((await answered(told)).status, 413)
  const untold = webhook.begin()
  untold.on('error', () => {})
  untold.write(' '.repeat(4_300_000))
  assert.equal((await answered(untold)).status, 413)
})

test('a defect is a status, never half a patch, and its cause stands in the log only', async (t) => {
  const webhook = await served(t, {
    profiles: () => {
      throw new Error('no memory of it')
    },
  })
  const answer = await webhook.post(review())
  assert.equal(answer.status, 500)
  assert.doesNotMatch(answer.text, /memory|at /)
  assert.equal(webhook.logged.filter((line) => line.includes('because of a defect')).length, 1)
  assert.match(await webhook.registry.metrics(), /result="failed",reason="defect"\} 1/)
})

test('while the version of the cluster is not known, only those are answered for whom it does not matter', async (t) => {
  const webhook = await served(t, { nativeSidecars: () => undefined, serverMinor: () => undefined })
  const answer = await webhook.post(review())
  assert.equal(answer.status, 503)
  assert.match(answer.text, /version of the API server is not known yet/)
  const legacy = podWith({ metadata: { annotations: { 'outrider.dev/mode': 'legacy' } } })
  assert.equal(responseOf(await webhook.post(review({ pod: legacy }))).allowed, true)
})

test('no more reviews are taken at a time than there is memory for', async (t) => {
  const webhook = await served(t)
  const waiting = Array.from({ length: 32 }, () => webhook.begin({ headers: { expect: '100-continue' } }))
  // Who is told to continue has been taken.
  await Promise.all(
    waiting.map((req) => {
      req.flushHeaders()
      return once(req, 'continue')
    }),
  )
  assert.equal((await webhook.post(review())).status, 503)
  for (const req of waiting) req.end(review())
  for (const req of waiting) assert.equal((await answered(req)).status, 200)
  assert.equal((await webhook.post(review())).status, 200)
})

test('a client that does not go on is cut off', async (t) => {
  const webhook = await served(t, {}, { patienceMs: 200 })
  const req = webhook.begin({ headers: { 'content-length': 100 } })
  req.on('error', () => {})
  req.write('{')
  await once(req, 'close')
  assert.equal((await webhook.post(review())).status, 200)
})

test('TLS older than 1.2 is not spoken', async (t) => {
  const webhook = await served(t)
  const { ca } = testCertificates()
  const ciphers = 'DEFAULT@SECLEVEL=0'
  const old = connect({ host: '127.0.0.1', port: webhook.port, ca: ca.cert, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers })
  t.after(() => old.destroy())
  old.once('secureConnect', () => old.destroy(new Error('it was spoken')))
  const [err] = (await once(old, 'error')) as [NodeJS.ErrnoException]
  assert.match(err.message, /protocol version|unsupported protocol/i)
})

test('a new certificate serves the next connection, and old ones go on', async (t) => {
  const webhook = await served(t)
  const { stranger } = testCertificates()
  const kept = webhook.begin()
  await once(kept, 'socket')
  kept.flushHeaders()
  await once(kept.socket ?? kept, 'secureConnect')
  webhook.replaceCertificate(stranger)
  await assert.rejects(webhook.post(review()), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  assert.equal((await webhook.post(review(), { ca: stranger.cert })).status, 200)
  kept.end(review())
  assert.equal((await answered(kept)).status, 200)
})

test('closing answers what has been asked, and nothing after it', async (t) => {
  const webhook = await served(t)
  const late = webhook.begin({ headers: { expect: '100-continue' } })
  late.flushHeaders()
  await once(late, 'continue')
  const closed = webhook.close()
  late.end(review())
  assert.equal((await answered(late)).status, 200)
  await closed
  await assert.rejects(webhook.post(review()), { code: 'ECONNREFUSED' })
})

test('no value of a variable is in an answer, an event or the log', async (t) => {
  const webhook = await served(t)
  const secret = 'sk-proj-0123456789abcdefghij'
  const env = [
    { name: 'OPENAI_API_KEY', value: secret },
    { name: 'OPENAI_BASE_URL', value: `http://${secret}@elsewhere/v1` },
    { name: 'PORT', value: secret },
  ]
  const pod = podWith({ spec: { containers: [{ name: 'app', env }] } })
  const answer = responseOf(await webhook.post(review({ pod })))
  assert.ok((answer.warnings?.length ?? 0) > 1)
  const patch = Buffer.from(answer.patch ?? '', 'base64').toString()
  for (const text of [patch, ...(answer.warnings ?? []), ...webhook.logged, JSON.stringify(webhook.noted)]) {
    assert.equal(text.includes(secret), false, text)
  }
})

test('a pod of sixty containers is warned about in few sentences', async (t) => {
  const webhook = await served(t)
  const containers = Array.from({ length: 60 }, (_, at): Raw => ({ name: `c${at}`, envFrom: [{ secretRef: { name: 's' } }] }))
  const { warnings = [] } = responseOf(await webhook.post(review({ pod: podWith({ spec: { containers } }) })))
  assert.equal(warnings.length, 11)
  assert.equal(warnings.at(-1), 'outrider: and 50 more')
  assert.ok(warnings.join('').length < 4096)
  assert.equal(rawOf(webhook.noted[0])['kind'], 'warned')
})
