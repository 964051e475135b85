import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fails, good } from '../../fixtures/failing.ts'
import { provider } from '../../fixtures/provider.ts'
import { runOutrider, tempFile } from '../../fixtures/runOutrider.ts'
import { ask, served } from '../../fixtures/startUpstreams.ts'

fails('a name that does not resolve', {
  at: async () => ({ url: 'http://model.invalid' }),
  outcome: 'dns_failed',
  attempts: 3,
  kind: 'dns_failed',
})

const main = join(import.meta.dirname, '../../../sidecar/main.ts')

/** A process that has a hosts file of its own. */
const withHosts = (file: string, args: readonly string[]): string[] => {
  const mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
  return ['unshare', '--mount', 'sh', '-c', mount, file, process.execPath, main, ...args]
}

const noMounts = (): string | false =>
  process.platform === 'linux' && spawnSync('unshare', ['--mount', 'true']).status === 0 ? false : 'mounts of its own need Linux and root'

/** Answers with the address it listens on, and closes each connection behind its answer. */
async function serveOn(t: TestContext, address: string, port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer((req, res) => {
    req.resume()
    res.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(`{"from":"${address}"}`)
  }).listen(port, address)
  await once(server, 'listening')
  t.after(() => server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

test('an upstream that moves to another address is followed there, and one that vanishes is replaced', { skip: noMounts() }, async (t) => {
  const { server, port } = await serveOn(t, '127.0.0.7')
  const moved = await serveOn(t, '127.0.0.8', port)
  const b = await provider(t, good)
  const hosts = tempFile(t, 'hosts', '127.0.0.1 localhost\n127.0.0.7 model.example\n')
  const upstreams = [
    { name: 'a', url: `http://model.example:${port}/v1`, credential: 'fake', tier: 1 },
    { name: 'b', url: `${b.url}/v1`, credential: 'fake', tier: 2 },
  ]
  const sidecar = await runOutrider(t, 'http://none.invalid', { upstreams }, { command: (args) => withHosts(hosts, args) })
  assert.equal((await ask(sidecar)).text, '{"from":"127.0.0.7"}')

  // A file that is replaced would be another one than is mounted.
  writeFileSync(hosts, '127.0.0.1 localhost\n127.0.0.8 model.example\n')
  server.close()
  await once(server, 'close')
  const followed = await ask(sidecar)
  assert.equal(followed.text, '{"from":"127.0.0.8"}')
  assert.deepEqual(served(followed), ['a', '1'])
  assert.equal(b.seen.length, 0)

  moved.server.close()
  await once(moved.server, 'close')
  assert.deepEqual(served(await ask(sidecar)), ['b', '2'])
  const { tried } = (await sidecar.callLine(2)) as { tried: { upstream: string; outcome: unknown }[] }
  assert.deepEqual(
    tried.map(({ upstream, outcome }) => [upstream, outcome]),
    [
      ['a', 'connect_failed'],
      ['b', 200],
    ],
  )
})
