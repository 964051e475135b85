import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { bundle } from '../bundle.ts'
import { upstreamKey } from '../upstream/wire.ts'
import { available, type Peer, type Situation } from './peer.ts'

const outdir = join(import.meta.dirname, '../../../.bench/dist')

/**
 * How Node is to be started in a pod. A small young generation keeps a busy sidecar at 120 instead of 160 MiB and costs no processor time;
 * without SIGUSR1 nobody in the pod can open an inspector on the loopback they all share.
 */
export const nodeFlags = ['--max-semi-space-size=4', '--disable-sigusr1']

/** Ours, as the image carries it: the bundle, with nothing switched off. */
export const outrider: Peer = {
  name: 'outrider',
  ours: true,
  install: () =>
    available(async () => {
      await bundle(outdir)
      return `node ${process.versions.node}`
    }),
  command: (situation) => {
    const file = join(situation.dir, 'outrider.yaml')
    writeFileSync(file, stringify(configuration(situation)))
    return { file: process.execPath, args: [...nodeFlags, join(outdir, 'main.cjs'), 'proxy', '--config', file] }
  },
}

function configuration({ port, otherPort, upstream }: Situation) {
  const tls = upstream.tls && { tls: { ca: upstream.caFile } }
  return {
    listen: { port },
    admin: { host: '127.0.0.1', port: otherPort },
    control: { port: 0 },
    upstreams: [{ name: 'fake', url: `${upstream.origin}/v1`, credential: 'fake', connections: 4_096, ...tls }],
    credentials: { fake: { value: upstreamKey } },
    limits: { inFlight: 5_000 },
  }
}
