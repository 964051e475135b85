import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { openKube, type Kube } from '../../sidecar/injector/kube.ts'
import { testCertificates } from '../fixtures/provider.ts'
import { tempFile } from '../fixtures/runOutrider.ts'

export type Step = (req: IncomingMessage, res: ServerResponse) => void

/** An API server that answers one request after the other as the script says, and the last for ever. */
export async function scripted(t: TestContext, steps: readonly Step[]): Promise<{ kube: Kube; seen: string[]; results: string[] }> {
  const { ca, server: pair } = testCertificates()
  const seen: string[] = []
  const results: string[] = []
  const server = createServer({ cert: pair.cert, key: pair.key }, (req, res) => {
    const step = steps[Math.min(seen.length, steps.length - 1)]
    seen.push(req.url ?? '')
    step?.(req, res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const config = {
    clusters: [{ name: 'c', cluster: { server: `https://localhost:${port}/behind`, 'certificate-authority': ca.certPath } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'here' } }],
    users: [{ name: 'u', user: { token: 'secret-token' } }],
    'current-context': 'x',
  }
  const kube = openKube({ kubeconfig: tempFile(t, 'config', JSON.stringify(config)), count: (result) => results.push(result) })
  t.after(() => {
    kube.close()
    server.closeAllConnections()
    server.close()
  })
  return { kube, seen, results }
}
