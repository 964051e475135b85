import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { bundle } from '../../../sidecar/image/bundle.ts'
import { nodeFlags } from '../../../sidecar/image/nodeFlags.ts'
import { upstreamKey } from '../upstream/wire.ts'
import { available, type Peer, type Situation } from './peer.ts'

const outdir = join(import.meta.dirname, '../../../.bench/dist')

/** Ours, as the image carries it: the bundle, with nothing switched off. */
export const outrider: Peer = ours('outrider', 1)

/** The same with a choice to make for every call, and others to go on to. */
export const outriderOfThree: Peer = ours('outrider-three', 3)

function ours(name: string, upstreams: number): Peer {
  return {
    name,
    ours: true,
    install: () =>
      available(async () => {
        await bundle(outdir)
        return `node ${process.versions.node}`
      }),
    command: (situation) => {
      const file = join(situation.dir, `${name}.yaml`)
      writeFileSync(file, stringify(configuration(situation, upstreams)))
      return { file: process.execPath, args: [...nodeFlags, join(outdir, 'main.cjs'), 'proxy', '--config', file] }
    },
  }
}

function configuration({ port, otherPort, upstream }: Situation, upstreams: number) {
  const tls = upstream.tls && { tls: { ca: upstream.caFile } }
  const names = Array.from({ length: upstreams }, (_, n) => (n === 0 ? 'fake' : `fake-${n + 1}`))
  return {
    listen: { port },
    admin: { host: '127.0.0.1', port: otherPort },
    control: { port: 0 },
    upstreams: names.map((name) => ({ name, url: `${upstream.origin}/v1`, credential: 'fake', connections: 4_096, ...tls })),
    credentials: { fake: { value: upstreamKey } },
    limits: { inFlight: 5_000 },
  }
}
