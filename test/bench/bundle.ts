import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'

const root = join(import.meta.dirname, '../..')

/**
 * Bundles the program into `outdir` as the image carries it: one CommonJS file. As ES modules the same program costs 2 MiB of anonymous memory
 * and 15 ms of start more, for Node's machinery of ES modules is loaded only where one is. What is not used is still not run.
 */
export async function bundle(outdir: string, entries: Readonly<Record<string, string>> = { main: 'sidecar/main.ts' }): Promise<void> {
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
    minifyWhitespace: true,
    sourcemap: 'external',
    // undici leaves its experimental parser out of bundles that define this.
    define: { esbuildDetection: 'true' },
    plugins: [lateHttp2],
    logLevel: 'warning',
  })
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

if (import.meta.main) await bundle(join(root, 'dist'))
