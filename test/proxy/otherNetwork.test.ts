import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { hash } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { program, tempFile, type Program } from '../fixtures/runOutrider.ts'
import { noNetworks, twoNetworks } from '../fixtures/twoNetworks.ts'
import { uploadHead } from '../fixtures/wireClient.ts'

// The sidecar sees only its own end of a connection from another network: the client's rows are in tables that it cannot read.

const readAhead = 8 * 1024 * 1024

/** Takes the head of a request and then nothing. */
const deafUpstream = `
  const server = require('node:net').createServer((socket) => socket.on('error', () => {}).once('data', () => socket.pause()))
  server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port))`

/** Sends a piece for each line that it reads; the last line says how to leave. It stays alive, so that nothing but its connection ends. */
const client = (address: string, port: number): string => `
  const socket = require('node:net').connect(${port}, '${address}')
  socket.on('error', () => {})
  socket.write(${JSON.stringify(uploadHead(400e6).replace('\r\n', '\r\nauthorization: Bearer key\r\n'))})
  const piece = Buffer.alloc(256 * 1024, 'u')
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'more') socket.write(piece, () => console.log('sent'))
    else socket[line]()
  })`

function run(t: TestContext, command: readonly string[], code: string): ChildProcessWithoutNullStreams {
  const [file, ...rest] = [...command, process.execPath, '-e', code]
  const child = spawn(file, rest, { stdio: 'pipe' })
  t.after(() => child.kill('SIGKILL'))
  return child
}

const printed = (child: ChildProcessWithoutNullStreams, text: string): Promise<string> =>
  new Promise((done) => {
    child.stdout.on('data', (bytes: Buffer) => {
      if (bytes.toString().includes(text)) done(bytes.toString())
    })
  })

/** Sends until the sidecar has read ahead all that it may. What comes last then waits in the kernel. */
async function fill(sender: ChildProcessWithoutNullStreams, held: () => number): Promise<void> {
  while (held() < readAhead) {
    const sent = printed(sender, 'sent').then(() => true)
    sender.stdin.write('more\n')
    while (held() < readAhead && !(await Promise.race([sent, new Promise((done) => setImmediate(done, false))]))) continue
  }
}

for (const [how, leave] of [
  ['resets', 'resetAndDestroy'],
  ['closes', 'destroy'],
  ['half-closes', 'end'],
] as const) {
  test(`a client of another network that ${how} its stuck upload is noticed`, { skip: noNetworks() }, async (t) => {
    const { here, there, address } = twoNetworks(t)
    const upstream = run(t, here, deafUpstream)
    const [, upstreamPort] = /port (\d+)/.exec(await printed(upstream, 'port')) ?? []
    const config = {
      listen: { host: address, port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      control: { off: true },
      clients: [{ name: 'a', sha256: hash('sha256', 'key') }],
      upstreams: [{ name: 'fake', url: `http://127.0.0.1:${upstreamPort}/v1` }],
      timeouts: { write: '10m', total: '10m', clientBody: '10m' },
    }
    const file = tempFile(t, 'outrider.json', JSON.stringify(config))
    const sidecar: Program = program(t, ['proxy', '--config', file], { before: `set -- ${here.join(' ')} "$@"` })
    const [, port, adminPort] = await sidecar.printed(/listening on 10\.203\.7\.1:(\d+).*admin port (\d+)/)
    const [tool, ...args] = [...here, 'curl', '-sf', '-m', '5', `http://127.0.0.1:${adminPort}/metrics`]
    const held = (): number => Number(/^outrider_held_bytes (\S+)$/m.exec(execFileSync(tool, args, { encoding: 'utf8' }))?.[1])

    const sender = run(t, there, client(address, Number(port)))
    await fill(sender, held)
    sender.stdin.write(`${leave}\n`)
    const [line] = await sidecar.printed(/^\{.*"msg":"call".*$/m)
    assert.equal((JSON.parse(line) as { error?: unknown }).error, 'client_gone')
    assert.equal(held(), 0)
  })
}
