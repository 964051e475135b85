import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '../..')

/** Bundles the program into `outdir` as the image carries it: `main.js`, and one chunk for each thing that is loaded only when needed. */
export async function bundle(outdir: string, entries: Readonly<Record<string, string>> = { main: 'sidecar/main.ts' }): Promise<void> {
  forgetOldChunks(outdir)
  await build({
    absWorkingDir: root,
    entryPoints: { ...entries },
    outdir,
    bundle: true,
    format: 'esm',
    // Dynamic imports stay files of their own, so that what is not used is not loaded.
    splitting: true,
    platform: 'node',
    target: 'node26',
    // Minifying gains nothing in memory or start, and stack traces would lose their names.
    minify: false,
    sourcemap: 'external',
    // CommonJS dependencies ask for node: modules through `require`, which an ES module does not have.
    banner: { js: "import { createRequire as bundledRequire } from 'node:module'\nconst require = bundledRequire(import.meta.url)" },
    // undici leaves its experimental parser out of bundles that define this.
    define: { esbuildDetection: 'true' },
    logLevel: 'warning',
  })
}

/** Chunks are named by their content, so those of earlier builds would pile up. */
function forgetOldChunks(outdir: string): void {
  for (const name of namesIn(outdir)) if (/\.js(\.map)?$/.test(name)) rmSync(join(outdir, name))
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

if (import.meta.main) await bundle(join(root, 'dist'))
