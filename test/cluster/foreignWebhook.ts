// A webhook of somebody else, as old libraries make them: it decodes the pod, changes it, and sends the whole spec back.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { issueLeaf, makeAuthority } from '../../sidecar/injector/certificate/issue.ts'
import type { Cluster } from './driver/cluster.ts'
import type { Namespace } from './driver/namespace.ts'
import { placeOf } from './machine/place.ts'
import type { Container } from './pods.ts'

export type Spec = {
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly [field: string]: unknown
}
type Review = { readonly request: { readonly uid: string; readonly object: { readonly spec: Spec } } }

const collection = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'

/** Is asked about the pods of one namespace after ours has been, since its name comes later. */
export async function startForeignWebhook(
  t: TestContext,
  { api }: Cluster,
  { name: namespace }: Namespace,
  change: (spec: Spec) => Spec,
): Promise<void> {
  const life = { now: Date.now(), lifeMs: 3_600_000 }
  const ca = await makeAuthority(life)
  // The tests run in the network of the first node, as the API server does.
  const { address } = placeOf('').nodes[0]
  const server = createServer(await issueLeaf(ca, [address], life), (req, res) => {
    void json(req).then((review) => {
      const { uid, object } = (review as Review).request
      const patch = Buffer.from(JSON.stringify([{ op: 'replace', path: '/spec', value: change(object.spec) }])).toString('base64')
      const response = { uid, allowed: true, patchType: 'JSONPatch', patch }
      res.setHeader('content-type', 'application/json')
      res.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }))
    })
  })
  server.listen(0, address)
  await once(server, 'listening')
  const name = `zz-${namespace}`
  t.after(async () => {
    await api.send('DELETE', `${collection}/${name}`)
    server.closeAllConnections()
    server.close()
  })
  await api.send('POST', collection, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      {
        name: 'pods.foreign.test',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        clientConfig: {
          url: `https://${address}:${(server.address() as AddressInfo).port}/`,
          caBundle: Buffer.from(ca.cert).toString('base64'),
        },
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
    ],
  })
}
