import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import packageJson from '../../package.json' with { type: 'json' }
import { environmentNames } from '../../sidecar/config/environmentNames.ts'
import { program, runOutrider, tempFile, type Program } from '../fixtures/runOutrider.ts'

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs a command to its end. Whatever it prints must be for people. */
async function run(t: TestContext, ...args: string[]): Promise<Ended> {
  const running = program(t, args)
  const { code } = await running.exit
  const ended = { code, out: running.stdout(), err: running.stderr() }
  assert.doesNotMatch(ended.out + ended.err, /\n\s+at .*[:(]|node:internal|file:\/\//, 'a stack trace')
  return ended
}

const configWith = (t: TestContext, config: object): string => tempFile(t, 'outrider.json', JSON.stringify(config))

const upstreams = [{ name: 'fake', url: 'http://127.0.0.1:9/v1' }]

async function takenPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

test('--help and help tell the commands, and end with 0', async (t) => {
  for (const word of ['--help', '-h', 'help']) {
    const { code, out, err } = await run(t, word)
    assert.deepEqual([code, err], [0, ''])
    assert.match(out, /^Usage: outrider COMMAND/)
    for (const command of ['proxy', 'validate', 'canary', 'demo', 'health', 'sleep']) assert.match(out, new RegExp(`\\n  ${command} `))
  }
})

test('each command has a help of its own, wherever the word stands', async (t) => {
  for (const [...args] of [
    ['proxy'],
    ['validate', 'FILE', '--strict'],
    ['demo', '--port', '1'],
    ['health', '--live'],
    ['canary', 'set'],
    ['sleep', '5s'],
  ]) {
    const { code, out, err } = await run(t, ...args, '--help')
    assert.deepEqual([code, err], [0, ''])
    assert(out.startsWith(`Usage: outrider ${args[0]} `), out)
    for (const line of out.split('\n')) assert(line.length <= 132, line)
  }
})

test('the help of proxy names every variable that it takes', async (t) => {
  const { out } = await run(t, 'proxy', '--help')
  for (const { names } of environmentNames) for (const name of names) assert.match(out, new RegExp(`^ .*\\b${name}\\b`, 'm'))
  assert.match(out, /\$\{NAME\}/)
})

test('--version is the version of the package', async (t) => {
  assert.deepEqual(await run(t, '--version'), { code: 0, out: `outrider ${packageJson.version}\n`, err: '' })
})

test('without a command the usage goes to standard error, and the exit code is 2', async (t) => {
  const { code, out, err } = await run(t)
  assert.deepEqual([code, out], [2, ''])
  assert.match(err, /^Usage: outrider COMMAND/)
})

test('an unknown command names the nearest one', async (t) => {
  const { code, out, err } = await run(t, 'porxy')
  assert.deepEqual([code, out], [2, ''])
  assert.match(
    err,
    /^There is no command "porxy"\. Did you mean proxy\?\n\nUsage: outrider COMMAND \[OPTIONS\]\noutrider --help tells more\.\n$/,
  )
  const inherited = await run(t, 'toString')
  assert.equal(inherited.code, 2)
  assert.match(inherited.err, /^There is no command "toString"\. There are proxy, .*sleep\.\n/)
})

test('options that cannot be understood end with 2 and say what would be right', async (t) => {
  const cases: [args: string[], sentence: RegExp][] = [
    [['proxy', '--config'], /^--config needs a value\.\n/],
    [['proxy', '--config', '--help2'], /^--config needs a value\.\n/],
    [['proxy', '--confg', 'x'], /^proxy has no option --confg\. Did you mean --config\?\n/],
    [['proxy', '--__proto__=1'], /^proxy has no option --__proto__\.\n/],
    [['proxy', 'outrider.yaml'], /^proxy takes options only, and "outrider\.yaml" is none\.\n/],
    [['demo', '--port', 'eighty'], /^--port must be a number from 0 to 65535, not "eighty"\.\n/],
    [['validate'], /^validate needs a config: FILE, a folder, or - for standard input\.\n/],
    [['validate', '-', '--against', '-'], /^Standard input cannot be both the config and the one from before\.\n/],
    [['validate', 'x', '--stirct'], /^validate has no option --stirct\. Did you mean --strict\?\n/],
    [['validate', 'x', '--json=yes'], /^--json takes no value\.\n/],
    [['health', '--port', '0'], /^--port must be a number from 1 to 65535, not "0"\.\n/],
    [['health', '--port', '1', '--url', 'http://a'], /^health takes --url or --port, not both\.\n/],
    [['health', '--url', 'localhost:9090'], /^--url must be a whole URL that starts with http:\/\/, such as http:\/\/localhost:9090\.\n/],
    [['sleep'], /^sleep takes one duration, such as 5s\.\n/],
    [['sleep', '1s', '2s'], /^sleep takes one duration, such as 5s\.\n/],
    [['sleep', 'long'], /^"long" is no duration up to 24 days: write 500ms, 5s or 2m\.\n/],
    [['sleep', '600h'], /^"600h" is no duration/],
    [['demo', '--port=70000'], /^--port must be a number from 0 to 65535, not "70000"\.\n/],
  ]
  for (const [args, sentence] of cases) {
    const { code, out, err } = await run(t, ...args)
    assert.deepEqual([code, out], [2, ''], args.join(' '))
    assert.match(err, sentence)
    // The sentence must not drown in the whole help.
    assert.match(err, /^[^\n]+\n\nUsage: outrider (proxy|demo|validate|health|sleep) [^\n]+\noutrider \1 --help tells more\.\n$/)
  }
})

test('a config is refused with 64 and all its problems at once', async (t) => {
  const file = tempFile(t, 'bad.yaml', 'upstreams:\n  - name: Bad Name\n    ulr: https://x\nlimits:\n  inFlight: many\n')
  const { code, out, err } = await run(t, 'proxy', '--config', file)
  assert.deepEqual([code, out], [64, ''])
  for (const problem of ['upstreams[0].name', 'upstreams[0].url', 'upstreams[0].ulr', 'limits.inFlight']) {
    assert.ok(err.includes(`${problem}:`), `${problem} in ${err}`)
  }
})

test('a config file that cannot be read is refused with its name', async (t) => {
  const missing = await run(t, 'proxy', '--config', '/nowhere/outrider.yaml')
  assert.deepEqual(
    [missing.code, missing.err],
    [64, 'The config is refused:\n/nowhere/outrider.yaml: does not exist: check the path, or what is mounted there\n'],
  )
  const folder = await run(t, 'proxy', '--config', import.meta.dirname)
  assert.equal(folder.code, 64)
  assert.match(folder.err, /is a folder, not a file\n$/)
})

test('files that the config names and that cannot be used are told by setting', async (t) => {
  const missing = configWith(t, {
    listen: { port: 0, tls: { cert: '/nowhere/cert.pem', key: '/nowhere/key.pem' } },
    admin: { port: 0 },
    upstreams,
  })
  const none = await run(t, 'proxy', '--config', missing)
  assert.equal(none.code, 64)
  assert.match(none.err, /\/nowhere\/cert\.pem listen\.tls\.cert: does not exist/)
  const junk = tempFile(t, 'junk.pem', 'this is no PEM')
  const unusable = configWith(t, { listen: { port: 0, tls: { cert: junk, key: junk } }, admin: { port: 0 }, upstreams })
  const bad = await run(t, 'proxy', '--config', unusable)
  assert.equal(bad.code, 64)
  assert.match(bad.err, /listen\.tls\.cert: is of no use/)
  const root = configWith(t, { listen: { port: 0 }, admin: { port: 0 }, upstreams, network: { ca: '/nowhere/ca.pem' } })
  const untrusting = await run(t, 'proxy', '--config', root)
  assert.deepEqual(
    [untrusting.code, untrusting.err],
    [64, 'The config is refused:\n/nowhere/ca.pem network.ca: does not exist: check the path, or what is mounted there\n'],
  )
  const clients = configWith(t, { listen: { port: 0 }, admin: { port: 0 }, upstreams, clientsFile: '/nowhere/clients.yaml' })
  const unread = await run(t, 'proxy', '--config', clients)
  assert.equal(unread.code, 64)
  assert.match(unread.err, /\/nowhere\/clients\.yaml/)
})

test('a taken port is named, with the setting that chooses another', async (t) => {
  const port = await takenPort(t)
  const data = configWith(t, { listen: { host: '127.0.0.1', port }, admin: { host: '127.0.0.1', port: 0 }, upstreams })
  const dataRun = await run(t, 'proxy', '--config', data)
  assert.equal(dataRun.code, 1)
  const holder = process.platform === 'linux' ? `${basename(process.argv0)} (process ${process.pid})` : 'another program'
  assert.equal(
    dataRun.err,
    `Outrider could not start: Port ${port} is taken by ${holder}: choose another with listen.port, or the variable PORT where there is no config file.\n`,
  )
  const admin = configWith(t, { listen: { port: 0 }, admin: { host: '127.0.0.1', port }, upstreams })
  const adminRun = await run(t, 'proxy', '--config', admin)
  assert.equal(adminRun.code, 1)
  assert.equal(
    adminRun.err,
    `Outrider could not start: Port ${port} is taken by ${holder}: choose another with admin.port, or the variable ADMIN_PORT where there is no config file.\n`,
  )
})

test('an address of another machine is named, with its setting', async (t) => {
  // From the block that is kept for documentation: no machine has it.
  const file = configWith(t, { listen: { port: 0 }, admin: { host: '192.0.2.1', port: 0 }, upstreams })
  const { code, err } = await run(t, 'proxy', '--config', file)
  assert.equal(code, 1)
  assert.match(err, /192\.0\.2\.1 is no address of this machine: choose another with admin\.host\.\n$/)
})

async function endsCleanly(demo: Program): Promise<void> {
  await demo.printed('Ctrl+C ends it.')
  const [, url] = await demo.printed(/base URL +(\S+)/)
  const reply = await fetch(`${url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}',
  })
  assert.equal(reply.status, 200)
  await reply.text()
  demo.child.kill('SIGINT')
  assert.deepEqual(await demo.exit, { code: 0, signal: null })
  assert.equal(demo.stderr(), '')
}

test('the demo prints its banner, answers, and ends cleanly at SIGINT', async (t) => {
  await endsCleanly(program(t, ['demo', '--port', '0']))
})

test('npm start is the demo', async (t) => {
  assert.match(packageJson.scripts.start, /^node --import \.\/sidecar\/requireNode26\.mjs sidecar\/main\.ts demo$/)
  const cwd = join(import.meta.dirname, '../..')
  // A group of its own, as a terminal makes one: npm, its shell and the program get the signal together.
  const npm = spawn('npm', ['start', '--', '--port', '0'], { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => npm.kill('SIGKILL'))
  let out = ''
  const ready = Promise.withResolvers<void>()
  npm.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    if (out.includes('Ctrl+C ends it.')) ready.resolve()
  })
  const exit = once(npm, 'close')
  await Promise.race([ready.promise, exit])
  assert.match(out, /Outrider stands between/)
  process.kill(-(npm.pid ?? 0), 'SIGINT')
  await exit
})

test('a signal during the start is not lost', async (t) => {
  // The first process of a container gets no signal that it does not listen for, so a lost one would cost the whole grace.
  const file = tempFile(t, 'outrider.json', '')
  rmSync(file)
  execFileSync('mkfifo', [file])
  const running = program(t, ['proxy', '--config', file])
  // Opens as soon as the program has come to reading its config, and is in the middle of its start.
  const pipe = await open(file, 'w')
  running.child.kill('SIGTERM')
  await pipe.writeFile(
    JSON.stringify({
      listen: { port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      control: { off: true },
      upstreams,
      drain: { idleExit: '0s' },
    }),
  )
  await pipe.close()
  assert.deepEqual(await running.exit, { code: 0, signal: null })
  assert.match(running.stdout(), /told to stop/)
})

test('warnings about the config are log lines, and the key is in none of them', async (t) => {
  const outrider = await runOutrider(t, 'http://127.0.0.1:9')
  const warning = outrider.lines().find(({ level }) => level === 'warn')
  assert.match(String(warning?.['msg']), /credentials\.fake\.value: is for trials/)
  assert.doesNotMatch(outrider.stdout(), /sk-test/)
})
