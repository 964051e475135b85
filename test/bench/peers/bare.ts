import { join } from 'node:path'
import { bundle } from '../../../sidecar/image/bundle.ts'
import { upstreamKey } from '../upstream/wire.ts'
import { available, type Peer } from './peer.ts'

const outdir = join(import.meta.dirname, '../../../.bench/bare')

/** node:http and undici and nothing else, bundled as Outrider is. */
export const bare: Peer = {
  name: 'bare',
  ours: true,
  install: () =>
    available(async () => {
      await bundle(outdir, { bare: 'test/bench/peers/bareProxy.ts' })
      return `node ${process.versions.node}`
    }),
  command: ({ port, upstream }) => ({
    file: process.execPath,
    args: [join(outdir, 'bare.cjs'), String(port), upstream.origin, upstreamKey, upstream.caFile],
  }),
}
