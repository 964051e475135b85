import assert from 'node:assert/strict'
import { lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, realpathSync, closeSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { folder } from '../fixtures/mountedSecret.ts'
import { chat, provider } from '../fixtures/provider.ts'
import { program, runOutrider } from '../fixtures/runOutrider.ts'
import { container, unpackedImage } from './container.ts'

const { rootfs } = unpackedImage()
const files = readdirSync(rootfs, { recursive: true, encoding: 'utf8' })
  // It walks through links to folders as well, as /bin is one.
  .filter((name) => realpathSync(join(rootfs, name, '..')) === join(realpathSync(rootfs), name, '..'))
  .map((name) => ({ name, stat: lstatSync(join(rootfs, name)) }))

test('nothing in the image can be run but outrider: no shell, no package manager, no second Node', () => {
  const runnable = files.filter(({ name, stat }) => stat.isFile() && startsAs(join(rootfs, name), ['\u007fELF', '#!']))
  const programs = runnable.map(({ name }) => name).filter((name) => !/\.so(\.[\d.]+)?$/.test(name))
  assert.deepEqual(programs, ['usr/bin/outrider'])
})

test('every user may read all of it, and none but root may change any of it or become another by it', () => {
  for (const { name, stat } of files) {
    if (stat.isSymbolicLink()) continue
    assert.equal(stat.mode & 0o6000, 0, `${name} gives the rights of its owner`)
    assert.ok((stat.mode & 0o4) !== 0, `${name} cannot be read by others`)
    if (name !== 'tmp') assert.equal(stat.mode & 0o022, 0, `${name} can be changed`)
    assert.deepEqual([stat.uid, stat.gid], [0, 0], name)
  }
})

test('a shell that is asked for is not found', async (t) => {
  const { box } = await running(t)
  for (const shell of ['sh', '/bin/sh', 'bash', '/busybox/sh', 'node', 'npm']) {
    const { code, stderr } = box.exec(shell, '-c', 'true')
    assert.notEqual(code, 0)
    assert.match(stderr, /not found|no such file/)
  }
})

test('it runs with no right to anything, on a root that cannot be written', async (t) => {
  const { box } = await running(t)
  const status = readFileSync(`/proc/${box.pid()}/status`, 'utf8')
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.match(status, new RegExp(`^${set}:\\s+0+$`, 'm'))
  assert.match(status, /^NoNewPrivs:\s+1$/m)
  assert.match(status, /^Uid:\s+65532\s+65532\s+65532\s+65532$/m)
  assert.match(readFileSync(`/proc/${box.pid()}/mountinfo`, 'utf8'), /^\d+ \d+ \S+ \S+ \/ ro/m)
})

test('an inherited NODE_OPTIONS loads no code and opens no inspector', async (t) => {
  const evil = folder(t)
  writeFileSync(join(evil, 'evil.cjs'), "console.log('EVIL')")
  const NODE_OPTIONS = '--require=/evil/evil.cjs --inspect=127.0.0.1:9229 --no-such-option'
  const { command } = container(t, { env: { NODE_OPTIONS }, mounts: { '/evil': evil } })
  const run = program(t, ['--version'], { command })
  assert.deepEqual(await run.exit, { code: 0, signal: null })
  assert.match(run.stdout(), /^outrider \d\S*\n$/)
  assert.equal(run.stderr(), '')

  const { ports, box, stderr } = await running(t, { NODE_OPTIONS: '--inspect=127.0.0.1:9229' })
  assert.deepEqual(listening(box.pid()), ports)
  assert.equal(stderr(), '')
})

test('no option of Node is taken from the command line', async (t) => {
  for (const args of [
    ['--inspect', '--version'],
    ['-e', 'console.log("EVIL")'],
  ]) {
    const { command } = container(t)
    const run = program(t, args, { command })
    assert.deepEqual(await run.exit, { code: 2, signal: null })
    assert.match(run.stderr(), /There is no command/)
    assert.equal(run.stdout(), '')
  }
})

test('SIGUSR1 opens no inspector, and serving goes on', async (t) => {
  const { url, ports, box, stderr } = await running(t)
  box.signal('USR1')
  // The answer comes after the signal: both wake the same loop.
  const reply = await fetch(`${url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m"}',
  })
  assert.match(await reply.text(), /hello/)
  assert.deepEqual(listening(box.pid()), ports)
  assert.doesNotMatch(stderr(), /Debugger/)
})

async function running(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const upstream = await provider(t, chat('hello'))
  const config = folder(t)
  const box = container(t, { env, mounts: { '/etc/outrider': config } })
  const put = (text: string): string => {
    writeFileSync(join(config, 'outrider.json'), text)
    return '/etc/outrider/outrider.json'
  }
  const outrider = await runOutrider(t, upstream.url, {}, { put, command: box.command })
  const ports = [outrider.port, Number(new URL(outrider.adminUrl).port)].toSorted((a, b) => a - b)
  return { ...outrider, box, ports }
}

/** The ports on which this process listens: the network holds those of the test as well. */
function listening(pid: number): number[] {
  const own = new Set<string>()
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${name}`))?.[1]
    if (inode !== undefined) own.add(inode)
  }
  const ports = ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A' && own.has(fields[9] ?? ''))
      .map((fields) => Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)),
  )
  return [...new Set(ports)].toSorted((a, b) => a - b)
}

/** A descriptor may be closed while one looks. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

function startsAs(path: string, starts: readonly string[]): boolean {
  const file = openSync(path, 'r')
  const head = Buffer.alloc(4)
  readSync(file, head, 0, 4, 0)
  closeSync(file)
  return starts.some((start) => head.toString('latin1').startsWith(start))
}
