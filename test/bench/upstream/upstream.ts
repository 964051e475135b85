import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nextMessage } from '../load/load.ts'
import { start } from '../processes.ts'

/** One address of the fake model, as a peer's configuration needs it. `caFile` is there also where it is not needed. */
export type Upstream = { readonly port: number; readonly tls: boolean; readonly origin: string; readonly caFile: string }

export type Upstreams = { readonly plain: Upstream; readonly secure: Upstream; stop(): Promise<void> }

/** Starts the fake model on its core, with certificates made for this run. */
export async function startUpstreams(dir: string, cores: string): Promise<Upstreams> {
  const { caFile, certificate, key } = makeCertificates(dir)
  const command = { file: process.execPath, args: [join(import.meta.dirname, 'main.ts'), certificate, key] }
  const running = start(command, cores, ['ignore', 'inherit', 'inherit', 'ipc'])
  const ports = (await nextMessage(running)) as { plainPort: number; securePort: number }
  return {
    plain: { port: ports.plainPort, tls: false, origin: `http://127.0.0.1:${ports.plainPort}`, caFile },
    // By name, as real ones are: a name goes through lookup and SNI.
    secure: { port: ports.securePort, tls: true, origin: `https://localhost:${ports.securePort}`, caFile },
    stop: () => running.stop(),
  }
}

function makeCertificates(dir: string): { caFile: string; certificate: string; key: string } {
  const file = (name: string): string => join(dir, name)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  writeFileSync(file('leaf.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
  openssl('req', '-x509', ...newKey, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-days', '2', '-subj', '/CN=Outrider bench')
  openssl('req', ...newKey, '-keyout', file('leaf.key'), '-out', file('leaf.csr'), '-subj', '/CN=localhost')
  const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', file('leaf.ext')]
  openssl('x509', '-req', '-in', file('leaf.csr'), '-out', file('leaf.pem'), ...signed)
  return { caFile: file('ca.pem'), certificate: file('leaf.pem'), key: file('leaf.key') }
}
