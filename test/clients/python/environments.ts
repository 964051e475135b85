import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const python = process.env['PYTHON'] ?? 'python3'

// A mirror may be slow, and a first run fetches everything.
const longestInstallMs = 10 * 60_000

/** The Python of an environment with these requirements: made once per list of requirements and version of Python, and kept. */
export async function environment(name: string): Promise<string> {
  const file = join(import.meta.dirname, `requirements-${name}.txt`)
  const { stdout: version } = await run(python, ['-c', 'import sys; print(sys.version)'])
  const key = createHash('sha256').update(version).update(readFileSync(file)).digest('hex').slice(0, 16)
  const caches = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(caches, 'outrider', 'clients', `${name}-${key}`)
  const inside = join(folder, 'bin/python')
  const complete = join(folder, 'complete')
  if (existsSync(complete)) return inside
  console.log(`installing ${name} into ${folder}`)
  // What a broken run left behind is not to be trusted.
  rmSync(folder, { recursive: true, force: true })
  await run(python, ['-m', 'venv', folder])
  await run(inside, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--requirement', file], {
    timeout: longestInstallMs,
  })
  writeFileSync(complete, '')
  return inside
}
