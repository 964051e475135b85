import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { program, tempFile, type RunOptions } from '../fixtures/runOutrider.ts'

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

async function validate(
  t: TestContext,
  args: readonly string[],
  { input, ...options }: RunOptions & { input?: string } = {},
): Promise<Ended> {
  const running = program(t, ['validate', ...args], options)
  running.child.stdin.end(input ?? '')
  const { code } = await running.exit
  return { code, out: running.stdout(), err: running.stderr() }
}

const good = 'upstreams: [{ name: a, url: https://a.example/v1 }]\n'

function folderWith(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

test('a sound config is called so, and the exit code is 0', async (t) => {
  const file = tempFile(t, 'outrider.yaml', good)
  assert.deepEqual(await validate(t, [file]), { code: 0, out: `${file}: is a config that Outrider takes\n`, err: '' })
})

// It used to be told to the first who wanted to change something, at night.
test('a file of the token that is not there is told, and is nothing that is wrong with the config', async (t) => {
  const folder = folderWith(t, { token: 'secret\n' })
  const file = (name: string): string => tempFile(t, 'outrider.yaml', `${good}control:\n  tokenFile: ${folder}/${name}\n`)
  const found = file('token')
  assert.deepEqual(await validate(t, [found, '--strict']), { code: 0, out: `${found}: is a config that Outrider takes\n`, err: '' })
  const missing = file('tokn')
  for (const strict of [[], ['--strict']]) {
    const { code, err } = await validate(t, [missing, ...strict])
    assert.equal(code, 0)
    assert.equal(
      err,
      `${missing}:3:3 control.tokenFile: warning: on this machine ${folder}/tokn does not exist; its folder holds: token. ` +
        'Nothing can be changed on the control port until it holds the token; it is read with each change, so it may come later.\n',
    )
  }
  const { err } = await validate(t, [file('gone/token')])
  assert.match(err, /is the Secret mounted\? Nothing can be changed/)
})

test('a fallback to the very model that failed is warned of, and with --strict refused', async (t) => {
  const file = tempFile(t, 'outrider.yaml', `${good}routes: [{ name: r, models: [m], fallbacks: [{ model: m }] }]\n`)
  const told = await validate(t, [file])
  assert.equal(told.code, 0)
  assert.match(told.err, /:2:48 routes\[0\]\.fallbacks\[0\]\.model: warning: is the only model that these fallbacks are for/)
  const strict = await validate(t, [file, '--strict'])
  assert.equal(strict.code, 64)
  assert.match(strict.err, /:2:48 routes\[0\]\.fallbacks\[0\]\.model: is the only model/)
})

test('all problems of all files are told at once, each with its place, and the exit code is 64', async (t) => {
  const folder = folderWith(t, {
    'a.yaml': 'upstreams: []\nlgo: {}\n',
    'b.yml': good,
    'c.json': '{\n  "upstreams": [{ "name": "a", "url": "ftp://a" }]\n}\n',
    'notes.txt': 'no config',
    '.hidden.yaml': 'no config',
  })
  const { code, out, err } = await validate(t, [folder, '/nowhere/outrider.yaml'])
  assert.equal(code, 64)
  assert.equal(out, `${folder}/b.yml: is a config that Outrider takes\n`)
  assert.equal(
    err,
    `${folder}/a.yaml:1:1 upstreams: is empty: name one upstream
${folder}/a.yaml:2:1 lgo: unknown key; did you mean "log"?
${folder}/c.json:2:32 upstreams[0].url: must be a whole URL that starts with https:// or http://, not "ftp://a"
/nowhere/outrider.yaml: does not exist: check the path, or what is mounted there
`,
  )
})

test('a mounted ConfigMap is a folder like any other: its links count once', async (t) => {
  const folder = folderWith(t, {})
  mkdirSync(join(folder, '..2026_01_01'))
  writeFileSync(join(folder, '..2026_01_01', 'outrider.yaml'), good)
  symlinkSync('..2026_01_01', join(folder, '..data'))
  symlinkSync('..data/outrider.yaml', join(folder, 'outrider.yaml'))
  assert.deepEqual(await validate(t, [folder]), { code: 0, out: `${folder}/outrider.yaml: is a config that Outrider takes\n`, err: '' })
})

test('a folder without a config is a problem: a typo in a pipeline must not pass', async (t) => {
  const folder = folderWith(t, { 'notes.txt': '' })
  const { code, err } = await validate(t, [folder])
  assert.deepEqual([code, err], [64, `${folder}: holds no *.yaml, *.yml or *.json\n`])
})

test('- is standard input', async (t) => {
  assert.deepEqual(await validate(t, ['-'], { input: good }), {
    code: 0,
    out: 'standard input: is a config that Outrider takes\n',
    err: '',
  })
  const bad = await validate(t, ['-'], { input: 'upstreams: []' })
  assert.deepEqual([bad.code, bad.err], [64, 'standard input:1:1 upstreams: is empty: name one upstream\n'])
})

const withWarning = 'upstreams: [{ name: a, url: https://a.example/v1 }]\ncredentials: { spare: { env: A } }\n'

test('a warning is told, and is a problem only to --strict', async (t) => {
  const file = tempFile(t, 'outrider.yaml', withWarning)
  const lenient = await validate(t, [file])
  assert.deepEqual([lenient.code, lenient.err], [0, `${file}:2:16 credentials.spare: warning: is used by no upstream\n`])
  const strict = await validate(t, [file, '--strict'])
  assert.deepEqual(strict, { code: 64, out: '', err: `${file}:2:16 credentials.spare: is used by no upstream\n` })
})

test('--json is one document for machines, with problems and warnings apart', async (t) => {
  const file = tempFile(t, 'outrider.yaml', `${withWarning}log: { levle: info }\n`)
  const { code, out, err } = await validate(t, ['--json', file])
  assert.deepEqual([code, err], [64, ''])
  assert.deepEqual(JSON.parse(out), {
    ok: false,
    files: [
      {
        file,
        problems: [{ path: 'log.levle', message: 'unknown key; did you mean "level"?', line: 3, column: 8 }],
        warnings: [{ path: 'credentials.spare', message: 'is used by no upstream', line: 2, column: 16 }],
      },
    ],
  })
  const fine = await validate(t, ['--json', '-'], { input: good })
  assert.deepEqual([fine.code, JSON.parse(fine.out)], [0, { ok: true, files: [{ file: 'standard input', problems: [], warnings: [] }] }])
})

test('variables are filled in from the environment of the command', async (t) => {
  const file = tempFile(t, 'outrider.yaml', 'upstreams:\n  - name: a\n    url: ${LLM_URL}\n')
  assert.equal((await validate(t, [file], { env: { LLM_URL: 'https://a.example' } })).code, 0)
  const { code, err } = await validate(t, [file])
  assert.equal(code, 64)
  assert.equal(
    err,
    `${file}:3:5 upstreams[0].url: refers to \${LLM_URL}, which the environment does not have: set it, or write \${NAME:-default}\n`,
  )
})

const modelsOf = (...models: readonly object[]): string =>
  JSON.stringify({ upstreams: [{ name: 'a', url: 'https://a.example' }], models }, undefined, 1)

test('a model whose version goes backwards, or is gone, is a problem to --against', async (t) => {
  const old = tempFile(
    t,
    'old.yaml',
    'models:\n  - { name: one, version: 1.10.0 }\n  - { name: two, version: 2.0.0 }\n  - { name: three, version: 1.0.0 }\n  - { name: gone, version: 9.0.0 }\n',
  )
  const file = tempFile(
    t,
    'new.json',
    modelsOf({ name: 'three', version: '1.0.0' }, { name: 'one', version: '1.9.0' }, { name: 'two' }, { name: 'new', version: '0.0.1' }),
  )
  const { code, err } = await validate(t, [file, '--against', old])
  assert.equal(code, 64)
  assert.deepEqual(
    err.split('\n').map((line) => line.replace(/^.*new\.json:\d+:\d+ /, '')),
    [
      'models[1].version: goes backwards: 1.9.0 comes before 1.10.0; write 1.10.0 or a later one',
      'models[2].version: is missing, and was 2.0.0 before',
      '',
    ],
  )
  const later = await validate(t, ['-', '--against', old], { input: modelsOf({ name: 'one', version: '1.10.1' }) })
  assert.equal(later.code, 0, later.err)
})

test('an old config that cannot be read is a problem, for nothing was compared', async (t) => {
  const file = tempFile(t, 'new.yaml', good)
  const { code, err } = await validate(t, [file, '--against', '/nowhere/old.yaml'])
  assert.deepEqual([code, err], [64, '/nowhere/old.yaml: does not exist: check the path, or what is mounted there\n'])
})

test('an old config need not be sound by the rules of today', async (t) => {
  const old = tempFile(t, 'old.yaml', 'gone: 1\nmodels: [{ name: one, version: 1.0.0, colour: red }, 7]\n')
  const file = tempFile(t, 'new.json', modelsOf({ name: 'one', version: '1.0.0-rc.1' }))
  const { code, err } = await validate(t, [file, '--against', old])
  assert.equal(code, 64)
  assert.match(err, /goes backwards: 1\.0\.0-rc\.1 comes before 1\.0\.0;/)
})
