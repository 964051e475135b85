import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build, type Plugin } from 'esbuild'

const root = join(import.meta.dirname, '../..')

/** What becomes a file of its own. One that another imports is loaded from its file then, late and only if it is asked for. */
type Entries = Readonly<Record<string, string>>

/**
 * Each by itself what only some run: what the injector needs for Kubernetes and certificates is nearly three times the text of a sidecar, which
 * every pod would hold in memory.
 */
const program: Entries = {
  main: 'sidecar/main.ts',
  injector: 'sidecar/injector/injector.ts',
  canary: 'sidecar/canary/canary.ts',
  demo: 'sidecar/demo/demo.ts',
  // Few apps open WebSockets.
  'http-proxy': 'node_modules/http-proxy/dist/lib/index.js',
  // Undici's parser once more, for processors that are older than any that Kubernetes runs on.
  llhttp: 'node_modules/undici/lib/llhttp/llhttp-wasm.js',
}

/**
 * Bundles the program into `outdir` as the image carries it: CommonJS, one file and one for each of those. As ES modules the same program costs
 * 2 MiB of anonymous memory and 15 ms of start more, for Node's machinery of ES modules is loaded only where one is. What is not used is still
 * not run.
 */
export async function bundle(outdir: string, entries: Entries = program): Promise<void> {
  forgetOldFiles(outdir)
  await build({
    absWorkingDir: root,
    entryPoints: { ...entries },
    outdir,
    bundle: true,
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    platform: 'node',
    target: 'node26',
    // Names stay, so that stack traces keep theirs, and the map beside gives the lines back; but Node holds the text of the program in memory,
    // and white space is 1.5 MiB of every pod.
    // A text of less than 1 031 913 letters stands in V8's own heap, where loading a config of YAML made it grow by 1.2 MiB: what would bring
    // this one below that has to be measured first.
    minifyWhitespace: true,
    // `import()` of a file of CommonJS starts Node's machinery of ES modules as well.
    supported: { 'dynamic-import': false },
    sourcemap: 'external',
    // undici leaves its experimental parser out of bundles that define this.
    define: { esbuildDetection: 'true' },
    plugins: [lateHttp2, latePino, withoutForms, apart(entries)],
    logLevel: 'warning',
  })
  for (const name of Object.keys(entries)) escapeLetters(join(outdir, `${name}.cjs`))
}

/**
 * Node holds a text of more than 1 MiB with two bytes for each letter if one letter is not ASCII. Esbuild writes them so in strings, but not in
 * the names of authors at the end.
 */
function escapeLetters(file: string): void {
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text.replaceAll(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )
}

/** Undici loads HTTP/2 with its client; in here it waits for the first connection that speaks it: 0.6 MiB of every other pod. */
const lateHttp2: Plugin = {
  name: 'late HTTP/2',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^\.\/client-h2\.js$/ }, ({ resolveDir, importer, path }) =>
      importer.endsWith('client.js') ? { path: join(resolveDir, path), namespace: 'late' } : undefined,
    )
    onLoad({ filter: /.*/, namespace: 'late' }, ({ path }) => ({
      contents: `module.exports = (client, socket) => require(${JSON.stringify(path)})(client, socket)`,
      resolveDir: root,
    }))
  },
}

/**
 * What pino writes with where nobody gives it anything to write to, and its threads: we do, and have none, and half a MiB of every pod stays
 * free.
 */
const latePino: Plugin = {
  name: 'late pino',
  setup: ({ onResolve, onLoad }) => {
    const isPino = (importer: string): boolean => /[/\\]pino[/\\](?:pino\.js|lib[/\\])/.test(importer)
    onResolve({ filter: /^(?:sonic-boom|thread-stream)$/ }, ({ importer, path }) =>
      isPino(importer) ? { path, namespace: 'late class' } : undefined,
    )
    onResolve({ filter: /^\.\/(?:lib\/)?transport$/ }, ({ importer, resolveDir, path }) =>
      isPino(importer) ? { path: join(resolveDir, path), namespace: 'late function' } : undefined,
    )
    onResolve({ filter: /^(?:node:)?worker_threads$/ }, ({ importer, path }) =>
      isPino(importer) ? { path, namespace: 'main thread' } : undefined,
    )
    onLoad({ filter: /.*/, namespace: 'late class' }, ({ path }) => ({
      contents: `module.exports = function (...options) { return new (require(${JSON.stringify(path)}))(...options) }`,
      resolveDir: root,
    }))
    onLoad({ filter: /.*/, namespace: 'late function' }, ({ path }) => ({
      contents: `module.exports = (...options) => require(${JSON.stringify(path)})(...options)`,
      resolveDir: root,
    }))
    onLoad({ filter: /.*/, namespace: 'main thread' }, () => ({ contents: 'exports.isMainThread = true' }))
  },
}

/** For bodies that are a FormData undici brings most of `fetch`; those of calls are bytes. */
const withoutForms: Plugin = {
  name: 'without forms',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^\.\.\/web\// }, ({ importer, path }) =>
      /[/\\]undici[/\\]lib[/\\](?:core|dispatcher)[/\\]/.test(importer) ? { path, namespace: 'no forms' } : undefined,
    )
    onLoad({ filter: /.*/, namespace: 'no forms' }, () => ({ contents: "throw new Error('a body that is a FormData')" }))
  },
}

/**
 * Leaves `import('./other/entry.ts')`, and that of a package which is one, to run time: what the other entry needs is no business of this one,
 * nor in its memory.
 */
function apart(entries: Entries): Plugin {
  const files = new Map(Object.entries(entries).map(([name, path]) => [join(root, path), `./${name}.cjs`]))
  return {
    name: 'entries apart',
    setup: ({ onResolve }) => {
      onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir, kind }) => {
        const file = files.get(join(resolveDir, path))
        return (kind === 'dynamic-import' || kind === 'require-call') && file !== undefined ? { path: file, external: true } : undefined
      })
      onResolve({ filter: /^[a-z]/ }, ({ path, kind }) =>
        kind === 'dynamic-import' && Object.hasOwn(entries, path) ? { path: `./${path}.cjs`, external: true } : undefined,
      )
    },
  }
}

function forgetOldFiles(outdir: string): void {
  for (const name of namesIn(outdir)) if (/\.c?js(\.map)?$/.test(name)) rmSync(join(outdir, name))
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

if (import.meta.main) await bundle(resolve(process.argv[2] ?? join(root, 'dist')))
