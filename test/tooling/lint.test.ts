import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'

const root = join(import.meta.dirname, '../..')
const bin = (name: string) => join(root, 'node_modules/.bin', name)

type Finding = { rule: string; message: string }

const statements = (count: number) => Array.from({ length: count }, (_, line) => `  total += ${line}`).join('\n')
const timersNamed = "import { setTimeout as sleep } from 'node:timers/promises'\nexport const wait = () => sleep(1)\n"
const useUndici = "import { Agent } from 'undici'\nexport const agent = new Agent()\n"
const useTunnel = "import { createProxyServer } from 'http-proxy'\nexport const tunnel = createProxyServer()\n"
const useKube = "import { KubeConfig } from '@kubernetes/client-node'\nexport const config = new KubeConfig()\n"
const readEnv = "export const home = process.env['HOME']\n"

/** One tree with every offence and every permitted use, linted once: a path says who wrote it. */
const tree: Record<string, string> = {
  'sidecar/proxy/layers/undici.ts': useUndici,
  'sidecar/proxy/layers/undiciPart.ts': "import { x } from 'undici/lib/core/errors.js'\nexport const y = x\n",
  'sidecar/proxy/layers/undiciType.ts': "import type { Dispatcher } from 'undici'\nexport type D = Dispatcher\n",
  'sidecar/proxy/layers/undiciLater.ts': "export const load = () => import('undici')\n",
  'sidecar/proxy/serve/undici.ts': useUndici,
  'sidecar/proxy/serve/tunnel.ts': useTunnel,
  'sidecar/injector/tunnel.ts': useTunnel,
  'sidecar/proxy/serve/listen.ts': useTunnel,
  'sidecar/proxy/upstream/dispatch.ts': useUndici,
  'sidecar/proxy/upstream/tunnel.ts': useTunnel,
  'sidecar/proxy/upstream/kube.ts': useKube,
  'sidecar/proxy/upstream/timers.ts': timersNamed,
  'sidecar/proxy/layers/kube.ts': useKube,
  'sidecar/injector/kube.ts': useKube,
  'sidecar/injector/undici.ts': useUndici,
  'sidecar/injector/timers.ts': timersNamed,
  'test/proxy/undici.test.ts': useUndici,
  'test/bench/bench.ts': useUndici,
  'test/bench/kube.ts': useKube,
  'test/bench/pace.ts': timersNamed,
  'test/proxy/pace.test.ts': timersNamed,
  'sidecar/main.ts': readEnv,
  'sidecar/config/environment.ts': readEnv,
  'sidecar/proxy/environment.ts': readEnv,
  'sidecar/injector/environment.ts': "import process from 'node:process'\n" + readEnv,
  'sidecar/proxy/environmentTaken.ts': 'const { env } = process\nexport const home = env\n',
  'sidecar/config/environmentNamed.ts': "import { env } from 'node:process'\nexport const home = env\n",
  'sidecar/proxy/fetched.ts': "export const reply = () => fetch('http://localhost/')\n",
  'sidecar/proxy/timers.ts': timersNamed,
  'sidecar/proxy/timersWhole.ts': "import timers from 'node:timers/promises'\nexport const wait = () => timers.setTimeout(1)\n",
  'sidecar/proxy/floating.ts': 'const later = async () => 1\nexport function go() {\n  later()\n}\n',
  'sidecar/proxy/waited.ts': 'const later = async () => 1\nexport async function go() {\n  await later()\n}\n',
  'test/floating.test.ts':
    "import { describe, it, suite, test } from 'node:test'\ntest('a', () => {})\nsuite('b', () => {})\ndescribe('c', () => {\n  it('d', () => {})\n})\n",
  'test/floatingOther.test.ts': "import { setTimeout } from 'node:timers'\nconst later = async () => setTimeout(() => {}, 1)\nlater()\n",
  'sidecar/cycle/one.ts': "import { two } from './two.ts'\nexport const one = () => two\n",
  'sidecar/cycle/two.ts': "import { one } from './one.ts'\nexport const two = () => one\n",
  'sidecar/long.ts': 'export const total = 0\n'.padEnd(23 + 300 * 3, '//\n'),
  'sidecar/short.ts': 'export const total = 0\n'.padEnd(23 + 299 * 3, '//\n'),
  'test/long.ts': 'export const total = 0\n'.padEnd(23 + 300 * 3, '//\n'),
  'sidecar/longFunction.ts': `export function sum() {\n  let total = 0\n${statements(97)}\n  return total\n}\n`,
  'sidecar/shortFunction.ts': `export function sum() {\n  let total = 0\n${statements(96)}\n  return total\n}\n`,
  'sidecar/any.ts': 'export const loose = (value: any) => value\n',
  'sidecar/nonNull.ts': 'export const sure = (value?: string) => value!\n',
  'sidecar/namespace.ts': 'export namespace Names {\n  export const one = 1\n}\n',
  'sidecar/enum.ts': 'export enum State {\n  up,\n  down,\n}\n',
  'sidecar/constEnum.ts': 'export const enum State {\n  up,\n  down,\n}\n',
  'sidecar/needless.ts': '// oxlint-disable-next-line no-console\nexport const one = 1\n',
}

suite('lint', () => {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-lint-'))
  const findings = new Map<string, Finding[]>()

  before(() => {
    for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) copyFileSync(join(root, file), join(folder, file))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    for (const [file, text] of Object.entries(tree)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
    const run = spawnSync(process.execPath, [bin('oxlint'), '--type-aware', '--format=json', 'sidecar', 'test'], {
      cwd: folder,
      encoding: 'utf8',
    })
    for (const { filename, code, message, help } of JSON.parse(run.stdout).diagnostics) {
      const found = findings.get(filename) ?? []
      findings.set(filename, [...found, { rule: code ?? '', message: `${message} ${help ?? ''}` }])
    }
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  function refused(file: string, rule: string, words: RegExp) {
    const found = findings.get(file) ?? []
    assert.deepEqual([...new Set(found.map((finding) => finding.rule))], [rule], `${file}: ${JSON.stringify(found)}`)
    assert.match(found.map((finding) => finding.message).join('\n'), words, file)
  }
  const passes = (file: string) => {
    assert.ok(file in tree, `${file} is not in the tree`)
    assert.deepEqual(findings.get(file), undefined, file)
  }
  const imports = 'eslint(no-restricted-imports)'

  test('undici is imported in proxy/upstream/ and in the bench only', () => {
    for (const file of [
      'proxy/layers/undici',
      'proxy/layers/undiciPart',
      'proxy/layers/undiciType',
      'proxy/layers/undiciLater',
      'proxy/serve/undici',
      'injector/undici',
    ]) {
      refused(`sidecar/${file}.ts`, imports, /sidecar\/proxy\/upstream\/ only.*dispatch\.ts/)
    }
    refused('test/proxy/undici.test.ts', imports, /in a test use node:http or fetch/)
    passes('sidecar/proxy/upstream/dispatch.ts')
    passes('test/bench/bench.ts')
  })

  test('http-proxy is imported in serve/tunnel.ts only', () => {
    refused('sidecar/proxy/serve/listen.ts', imports, /serves WebSockets in sidecar\/proxy\/serve\/tunnel\.ts.*go through the pipeline/)
    refused('sidecar/proxy/upstream/tunnel.ts', imports, /serves WebSockets/)
    refused('sidecar/injector/tunnel.ts', imports, /serves WebSockets/)
    passes('sidecar/proxy/serve/tunnel.ts')
  })

  test('the Kubernetes client is imported in injector/ only', () => {
    refused('sidecar/proxy/layers/kube.ts', imports, /only sidecar\/injector\/ may load it.*through its profile/)
    refused('sidecar/proxy/upstream/kube.ts', imports, /only sidecar\/injector\/ may load it/)
    refused('test/bench/kube.ts', imports, /only sidecar\/injector\/ may load it/)
    passes('sidecar/injector/kube.ts')
  })

  test('the environment is read in main.ts and config/ only', () => {
    for (const file of ['proxy/environment', 'proxy/environmentTaken', 'injector/environment']) {
      refused(`sidecar/${file}.ts`, 'eslint(no-restricted-properties)', /sidecar\/main\.ts and sidecar\/config\/ only.*as an option/)
    }
    refused('sidecar/config/environmentNamed.ts', imports, /Write process\.env/)
    passes('sidecar/main.ts')
    passes('sidecar/config/environment.ts')
  })

  test('the proxy does not call fetch', () => {
    refused('sidecar/proxy/fetched.ts', 'eslint(no-restricted-globals)', /five times.*dispatch\.ts/)
  })

  test('setTimeout is not taken by name from node:timers/promises, but in the bench', () => {
    for (const file of ['sidecar/proxy/timers', 'sidecar/proxy/upstream/timers', 'sidecar/injector/timers', 'test/proxy/pace.test']) {
      refused(`${file}.ts`, imports, /Mock timers do not reach.*import timers from/)
    }
    passes('sidecar/proxy/timersWhole.ts')
    passes('test/bench/pace.ts')
  })

  test('a promise is waited for; those of node:test wait for themselves', () => {
    refused('sidecar/proxy/floating.ts', 'typescript(no-floating-promises)', /[Pp]romises must be awaited/)
    refused('test/floatingOther.test.ts', 'typescript(no-floating-promises)', /[Pp]romises must be awaited/)
    passes('sidecar/proxy/waited.ts')
    passes('test/floating.test.ts')
  })

  test('files do not import each other in a circle', () => {
    refused('sidecar/cycle/one.ts', 'import(no-cycle)', /cycle/)
  })

  test('a file of the sidecar has at most 300 lines, a function 100', () => {
    refused('sidecar/long.ts', 'eslint(max-lines)', /too many lines.*301/)
    refused('sidecar/longFunction.ts', 'eslint(max-lines-per-function)', /too many lines/)
    passes('sidecar/short.ts')
    passes('sidecar/shortFunction.ts')
    passes('test/long.ts')
  })

  test('types are neither loosened with any nor asserted with an exclamation mark', () => {
    refused('sidecar/any.ts', 'typescript(no-explicit-any)', /any/)
    refused('sidecar/nonNull.ts', 'typescript(no-non-null-assertion)', /[Nn]on-null/)
  })

  test('what type stripping cannot strip is refused: namespaces and const enums by the linter, every enum by tsc', () => {
    refused('sidecar/namespace.ts', 'typescript(no-namespace)', /namespace/)
    refused('sidecar/constEnum.ts', 'oxc(no-const-enum)', /enum/)
    const checked = spawnSync(process.execPath, [bin('tsc')], { cwd: folder, encoding: 'utf8' })
    for (const file of ['enum', 'constEnum', 'namespace']) {
      assert.match(checked.stdout, new RegExp(`sidecar/${file}\\.ts\\(1,\\d+\\): error TS1294: .*erasableSyntaxOnly`))
    }
  })

  test('a disabled rule that disables nothing is refused', () => {
    assert.match(JSON.stringify(findings.get('sidecar/needless.ts')), /[Uu]nused.*disable directive/)
  })
})
