// An API server with nothing but its etcd, on the loopback: enough for whatever only speaks with the API, and there in some seconds.
import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programs } from './machine/programs.ts'
import { until } from './machine/until.ts'

export type Json = { readonly [key: string]: unknown }

export type Answer = { readonly status: number; readonly body: Json }

export type Asked = { readonly body?: unknown; readonly token?: string; readonly contentType?: string }

export type ApiServer = {
  readonly folder: string
  readonly url: string
  readonly adminToken: string
  /** As an admin, unless a token of somebody else is given. */
  readonly ask: (method: string, path: string, asked?: Asked) => Promise<Answer>
  /** The same, where nothing but success will do. */
  readonly must: (method: string, path: string, body?: unknown, contentType?: string) => Promise<Json>
  /** A kubeconfig of this ServiceAccount, made if it is not there. */
  readonly kubeconfigFor: (namespace: string, serviceAccount: string) => Promise<string>
  /** Every request that was answered, with who made it and what became of it. */
  readonly audit: () => readonly AuditEvent[]
  /** Ends it, does something meanwhile, and starts it again at the same port. */
  readonly restart: (meanwhile: () => Promise<void>) => Promise<void>
  readonly stop: () => Promise<void>
}

export type AuditEvent = {
  readonly verb: string
  readonly requestURI: string
  readonly user: { readonly username: string }
  readonly objectRef?: { readonly resource?: string; readonly namespace?: string; readonly name?: string; readonly apiGroup?: string }
  readonly responseStatus?: { readonly code: number }
}

const adminToken = 'outrider-test-admin'
const longestStartMs = 90_000

export async function startApiServer(): Promise<ApiServer> {
  const { folder: bin } = await programs()
  const folder = mkdtempSync(join(tmpdir(), 'outrider-api-'))
  const [client, peer, secure] = await freePorts(3)
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const children = new Map<string, ChildProcess>()
  const start = (name: string, flags: Readonly<Record<string, string>>): void => {
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)
    const child = spawn(join(bin, name), args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const log = createWriteStream(join(folder, `${name}.log`), { flags: 'a' })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    children.set(name, child)
  }
  const etcdUrl = `http://127.0.0.1:${client}`
  const peerUrl = `http://127.0.0.1:${peer}`
  start('etcd', {
    'data-dir': join(folder, 'etcd'),
    'unsafe-no-fsync': 'true',
    'listen-client-urls': etcdUrl,
    'advertise-client-urls': etcdUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    'log-level': 'warn',
  })
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules: [{ level: 'Metadata' }] }
  const flags = {
    'etcd-servers': etcdUrl,
    'bind-address': '127.0.0.1',
    'secure-port': String(secure),
    // It takes none from the loopback, and where there is no default route it finds no other by itself. Nobody uses it.
    'advertise-address': '192.0.2.1',
    'cert-dir': join(folder, 'pki'),
    'service-cluster-ip-range': '10.96.0.0/16',
    'authorization-mode': 'RBAC',
    // Its makers are not there to give each namespace one.
    'disable-admission-plugins': 'ServiceAccount',
    'token-auth-file': file('tokens.csv', `${adminToken},admin,admin,system:masters\n`),
    'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
    'service-account-key-file': file('tokens.pub', publicKey),
    'service-account-signing-key-file': file('tokens.key', privateKey),
    'audit-policy-file': file('audit.json', JSON.stringify(policy)),
    'audit-log-path': join(folder, 'audit.log'),
    profiling: 'false',
  }
  const end = async (child: ChildProcess | undefined): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  const stop = async (): Promise<void> => {
    for (const child of children.values()) await end(child)
    rmSync(folder, { recursive: true, force: true })
  }
  const url = `https://127.0.0.1:${secure}`
  const ask = asker(url)
  const must: ApiServer['must'] = async (method, path, body, contentType) => {
    const answer = await ask(method, path, { body, ...(contentType === undefined ? {} : { contentType }) })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 500)}`)
    return answer.body
  }
  const startServer = async (): Promise<void> => {
    start('kube-apiserver', flags)
    const look = async (): Promise<boolean> => {
      const gone = [...children.values()].find(({ exitCode }) => exitCode !== null)
      if (gone !== undefined) throw new Error(`${gone.spawnfile} ended with ${gone.exitCode}\n${tails(folder)}`)
      return (await ask('GET', '/readyz').catch(() => undefined))?.status === 200
    }
    await until('the API server is ready', look, longestStartMs)
  }
  const restart: ApiServer['restart'] = async (meanwhile) => {
    await end(children.get('kube-apiserver'))
    await meanwhile()
    await startServer()
  }
  try {
    await startServer()
  } catch (err) {
    await stop()
    throw err
  }
  return { folder, url, adminToken, ask, must, kubeconfigFor: kubeconfigs(folder, url, must), audit: () => auditOf(folder), restart, stop }
}

function asker(url: string): ApiServer['ask'] {
  return (method, path, { body, token = adminToken, contentType = 'application/json' } = {}) =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, accept: 'application/json', 'content-type': contentType }
      // Its certificate is its own, made a moment ago; nobody else is on this loopback port.
      const req = request(`${url}${path}`, { method, headers, rejectUnauthorized: false, timeout: 30_000 }, (res) => {
        let text = ''
        res.setEncoding('utf8').on('data', (more: string) => (text += more))
        res.on('end', () => {
          const json = text.startsWith('{')
          resolve({ status: res.statusCode ?? 0, body: json ? (JSON.parse(text) as Json) : { text } })
        })
        res.on('error', reject)
      })
      req.on('timeout', () => req.destroy(new Error(`${method} ${path}: no answer`)))
      req.on('error', reject)
      req.end(body === undefined ? undefined : JSON.stringify(body))
    })
}

const kubeconfigs =
  (folder: string, url: string, must: ApiServer['must']): ApiServer['kubeconfigFor'] =>
  async (namespace, serviceAccount) => {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`
    const { status } = await must('POST', path, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} })
    const { token } = status as { token: string }
    const file = join(folder, `${namespace}-${serviceAccount}.json`)
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority': join(folder, 'pki/apiserver.crt') } }],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace } }],
      'current-context': 'test',
    }
    writeFileSync(file, JSON.stringify(config))
    return file
  }

const auditOf = (folder: string): AuditEvent[] =>
  readFileSync(join(folder, 'audit.log'), 'utf8')
    .split('\n')
    // The last line may not be whole yet.
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditEvent)

const tails = (folder: string): string =>
  ['etcd', 'kube-apiserver']
    .map((name) =>
      readFileSync(join(folder, `${name}.log`), 'utf8')
        .split('\n')
        .slice(-15)
        .join('\n'),
    )
    .join('\n')

/** Free a moment ago: programs that cannot choose one by themselves are told these. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}
