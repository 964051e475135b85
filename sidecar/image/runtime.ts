import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { nodeFlags } from './nodeFlags.ts'
import { run } from './said.ts'

/** Where the program lies, seen from the folder of the executable. */
const program = '../lib/outrider/main.cjs'

/**
 * Makes what changes only with Node: the executable `outrider` and the one library that it needs beyond those of every C++ program. The
 * executable is Node with our flags sealed in. It ignores NODE_OPTIONS, which operators put into all containers of a pod, and which could load
 * code into the one process that knows the key.
 */
export function runtime(folder: string): void {
  const work = mkdtempSync(join(tmpdir(), 'outrider-runtime-'))
  try {
    const node = join(work, 'node')
    copyFileSync(process.execPath, node)
    // Symbols are a fifth of it, and Node's own stack traces do without.
    run('strip', ['--strip-all', node])
    writeFileSync(join(work, 'launch.cjs'), `require('node:module').createRequire(process.execPath)(${JSON.stringify(program)})\n`)
    const output = join(folder, 'usr/bin/outrider')
    const sealed = join(work, 'sealed.json')
    mkdirSync(dirname(output), { recursive: true })
    writeFileSync(
      sealed,
      JSON.stringify({
        // Seen from the folder below: this name becomes part of the executable, and that of the folder is another each time.
        main: 'launch.cjs',
        executable: node,
        output,
        execArgv: nodeFlags,
        execArgvExtension: 'none',
        disableExperimentalSEAWarning: true,
      }),
    )
    run(process.execPath, ['--build-sea', sealed], { cwd: work })
    copyLibrary('libatomic.so', folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function copyLibrary(name: string, folder: string): void {
  const { sharedObjects } = process.report.getReport() as { sharedObjects: readonly string[] }
  const file = sharedObjects.find((path) => path.includes(name))
  // A Node that was linked otherwise does without.
  if (file === undefined) return
  const to = join(folder, 'usr', file.replace(/^\/usr\//, '/'))
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(file, to)
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2)
  if (folder === undefined) throw new Error('say where to: runtime.ts FOLDER')
  runtime(resolve(folder))
}
