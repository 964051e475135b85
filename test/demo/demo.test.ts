import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { parseConfig, type Config } from '../../sidecar/config/config.ts'
import { demo } from '../../sidecar/demo/demo.ts'
import { startProxy } from '../../sidecar/proxy/proxy.ts'

/** Runs the demo with the least that can pass for a proxy: it adds the key, and goes to the next where one fails. */
async function run(t: TestContext, port: number) {
  const out = new PassThrough()
  let text = ''
  out.on('data', (chunk) => (text += String(chunk)))
  const configs: Config[] = []
  const startProxy = async (configText: string) => {
    const { config } = await parseConfig(configText, 'demo')
    configs.push(config)
    const upstreams = config.upstreams.map(({ url, credential = '' }) => {
      const source = config.credentials[credential]
      assert.ok(source && 'value' in source)
      return { url, keys: { authorization: `Bearer ${source.value}`, 'x-api-key': String(source.value) } }
    })
    const server = createServer((req, res) => {
      void req.toArray().then(async (chunks: Buffer[]) => {
        const { method = 'GET', headers } = req
        const version = headers['anthropic-version']
        const body = method === 'GET' ? {} : { body: Buffer.concat(chunks) }
        const more = typeof version === 'string' ? { 'anthropic-version': version } : {}
        let reply = new Response('', { status: 500 })
        for (const { url, keys } of upstreams) {
          if (reply.status === 500) reply = await fetch(new URL(req.url ?? '', url), { method, ...body, headers: { ...keys, ...more } })
        }
        res.writeHead(reply.status).end(await reply.text())
      })
    })
    server.listen(config.listen.port, '127.0.0.1')
    await once(server, 'listening')
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      async close() {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      },
    }
  }
  const running = await demo({ port, out, startProxy, pace: { firstTokenMs: 0, tokenMs: 0 } })
  t.after(running.close)
  const [config] = configs
  assert.ok(config)
  return { text, config }
}

test('the banner fits a terminal, shows no key, and says that none is needed', async (t) => {
  const { text, config } = await run(t, 0)
  for (const line of text.split('\n')) assert.ok(line.length <= 80, line)
  assert.match(text, /the app needs no key/)
  assert.ok(!text.includes('sk-demo') && !text.includes('\u001B') && !text.includes('taken'))
  assert.match(text, new RegExp(`http://localhost:${config.listen.port}/v1\n`))
  assert.match(text, new RegExp(`http://localhost:${config.admin.port}/readyz\n`))
})

test('every line of the banner can be pasted', async (t) => {
  const { text, config } = await run(t, 0)
  // A command goes on as long as its lines are indented deeper than its first.
  const commands = text.match(/^ {2}curl .*(\n {4}.*)*/gm) ?? []
  const calls = commands.filter((command) => !command.includes(`:${config.admin.port}/`))
  assert.deepEqual([commands.length, calls.length], [8, 6])
  for (const command of calls) {
    const { stdout } = await promisify(execFile)('sh', ['-c', `${command} --fail --silent`])
    assert.match(stdout, command.includes('"stream":true') ? /data: \[DONE\]\n\n$/ : /^(?:HTTP.*\r\n(?:.+\r\n)*\r\n)?\{.*\}$/)
  }
})

test('a taken port is said and a free one used', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { port } = other.address() as AddressInfo
  const { text, config } = await run(t, port)
  assert.match(text, new RegExp(`Port ${port} is taken, so a free one is used\\.`))
  assert.notEqual(config.listen.port, port)
})

test('a port that somebody takes between the look and the start is left to them', async (t) => {
  // Several demos were started at once: all found 9090 free, and all but one ended.
  const others = ['listen', 'admin', 'control'] as const
  const lost: number[] = []
  const running = await demo({
    port: 0,
    out: new PassThrough(),
    startProxy: async (text) => {
      const { config } = await parseConfig(text, 'demo')
      const which = others[lost.length]
      if (which !== undefined) {
        const { port } = config[which]
        const other = createServer().listen(port, '127.0.0.1')
        await once(other, 'listening')
        t.after(() => other.close())
        lost.push(port)
      }
      const proxy = await startProxy({ config, warnings: [], env: {}, write: () => {} })
      assert.ok(!lost.includes(proxy.port) && !lost.includes(config.admin.port))
      return { url: `http://localhost:${proxy.port}`, close: proxy.close }
    },
  })
  await running.close()
  assert.equal(lost.length, 3)
})

test('on a terminal titles are bold, unless colour is not wanted', async () => {
  for (const plain of [false, true]) {
    const out = Object.assign(new PassThrough(), { isTTY: true })
    const startProxy = () => Promise.resolve({ url: 'http://127.0.0.1:1', close: () => Promise.resolve() })
    const running = await demo({ port: 0, out, plain, startProxy })
    await running.close()
    assert.equal(String(out.read()).includes('\u001B[1m'), !plain)
  }
})

test('a proxy that does not start takes the provider with it', async () => {
  const startProxy = () => Promise.reject(new Error('no proxy today'))
  await assert.rejects(demo({ port: 0, out: new PassThrough(), startProxy }), /no proxy today/)
})
