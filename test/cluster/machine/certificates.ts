import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiService, type Place } from './place.ts'
import { run } from './run.ts'

const days = '30'
const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

type Leaf = {
  readonly name: string
  readonly ca?: string
  readonly subject: string
  readonly usage: 'clientAuth' | 'serverAuth'
  readonly names?: string
}

/** Every key and certificate of a cluster, and a kubeconfig for whoever calls the API server. */
export async function certificates(place: Place): Promise<void> {
  const folder = join(place.folder, 'pki')
  const [first] = place.nodes
  const openssl = (...args: readonly string[]) => run('openssl', args, { cwd: folder })
  const authority = (name: string) =>
    openssl('req', '-x509', ...key, '-days', days, '-subj', `/CN=outrider-test-${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`)
  const tokenKeys = async () => {
    await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'tokens.key')
    await openssl('pkey', '-in', 'tokens.key', '-pubout', '-out', 'tokens.pub')
  }
  const leaf = async ({ name, ca = 'ca', subject, usage, names }: Leaf) => {
    const extensions = ['keyUsage=critical,digitalSignature', `extendedKeyUsage=${usage}`]
    if (names !== undefined) extensions.push(`subjectAltName=${names}`)
    writeFileSync(join(folder, `${name}.ext`), extensions.join('\n'))
    await openssl('req', '-new', ...key, '-subj', subject, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    const signing = ['-CA', `${ca}.crt`, '-CAkey', `${ca}.key`, '-days', days, '-extfile', `${name}.ext`]
    await openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.crt`)
    if (usage === 'clientAuth') writeFileSync(join(folder, `${name}.yaml`), kubeconfig(place, name))
  }
  await Promise.all([authority('ca'), authority('front-ca'), tokenKeys()])
  const service = ['', '.default', '.default.svc', '.default.svc.cluster.local'].map((rest) => `DNS:kubernetes${rest}`)
  const leaves: readonly Leaf[] = [
    {
      name: 'api-server',
      subject: '/CN=kube-apiserver',
      usage: 'serverAuth',
      names: [...service, `IP:${apiService}`, `IP:${first.address}`].join(),
    },
    { name: 'api-to-kubelet', subject: '/O=system:masters/CN=api-to-kubelet', usage: 'clientAuth' },
    { name: 'front-proxy', ca: 'front-ca', subject: '/CN=front-proxy', usage: 'clientAuth' },
    { name: 'admin', subject: '/O=system:masters/CN=admin', usage: 'clientAuth' },
    { name: 'controllers', subject: '/CN=system:kube-controller-manager', usage: 'clientAuth' },
    { name: 'scheduler', subject: '/CN=system:kube-scheduler', usage: 'clientAuth' },
    { name: 'proxy', subject: '/CN=system:kube-proxy', usage: 'clientAuth' },
    ...place.nodes.flatMap(({ name, address }): Leaf[] => [
      { name: `${name}-client`, subject: `/O=system:nodes/CN=system:node:${name}`, usage: 'clientAuth' },
      { name: `${name}-server`, subject: `/CN=system:node:${name}`, usage: 'serverAuth', names: `DNS:${name},IP:${address}` },
    ]),
  ]
  await Promise.all(leaves.map(leaf))
}

function kubeconfig({ folder, apiServer }: Place, name: string): string {
  const file = (ending: string) => join(folder, 'pki', ending)
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: apiServer, 'certificate-authority': file('ca.crt') } }],
    users: [{ name, user: { 'client-certificate': file(`${name}.crt`), 'client-key': file(`${name}.key`) } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: name } }],
    'current-context': 'test',
  })
}
