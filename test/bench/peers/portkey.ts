import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { upstreamKey } from '../upstream/wire.ts'
import { available, cacheFolder, type Peer, run } from './peer.ts'

const release = '1.15.2'
/** With later ones in their allowed range, its streams fail. */
const pins = { hono: '4.9.7', '@hono/node-server': '1.13.5' }
const folder = (): string => cacheFolder(`portkey-${release}`)
const program = (): string => join(folder(), 'node_modules/@portkey-ai/gateway/build/start-server.js')

/** The LLM gateway for Node, on the same Node as ours. It keeps no key of its own, so the app sends the whole routing with each call. */
export const portkey: Peer = {
  name: 'portkey',
  install: () =>
    available(async () => {
      if (!existsSync(program())) {
        const dependencies = { '@portkey-ai/gateway': release, ...pins }
        writeFileSync(join(folder(), 'package.json'), JSON.stringify({ private: true, dependencies, overrides: pins }))
        await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder() })
      }
      const hono = JSON.parse(readFileSync(join(folder(), 'node_modules/hono/package.json'), 'utf8')) as { version: string }
      return `portkey/${release}, hono ${hono.version}, node ${process.versions.node}`
    }),
  command: ({ port, upstream }) => ({
    file: process.execPath,
    args: [program(), `--port=${port}`, '--headless'],
    env: { NODE_ENV: 'production', NODE_EXTRA_CA_CERTS: upstream.caFile },
  }),
  headers: ({ upstream }) => ({
    'x-portkey-config': JSON.stringify({ provider: 'openai', custom_host: `${upstream.origin}/v1`, api_key: upstreamKey }),
  }),
}
