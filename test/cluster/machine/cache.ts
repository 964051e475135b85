import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where everything of the cluster lives that is not the project's: programs, images, the state of running clusters. */
export const cacheFolder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'outrider-cluster')

const monthMs = 30 * 86_400_000

/** Where a thing is kept that is made of these sources, and nothing else. */
export function keptAt(name: string, sources: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256').update(process.arch)
  for (const source of sources) hash.update(createHash('sha256').update(source).digest())
  return join(cacheFolder, `${name}-${hash.digest('hex').slice(0, 12)}`)
}

/** A folder with what `make` puts into it: made once, and whole or not there at all, whatever interrupts. */
export async function kept(folder: string, make: (folder: string) => Promise<void>): Promise<string> {
  if (isKept(folder)) return folder
  forgetUnused()
  const unfinished = `${folder}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  try {
    await make(unfinished)
    renameSync(unfinished, folder)
  } catch (err) {
    // Somebody else may have made the same in the meantime.
    if (!existsSync(folder)) throw err
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return folder
}

/** Whether a thing is there already; then it counts as used today. */
export function isKept(path: string): boolean {
  if (!existsSync(path)) return false
  const now = new Date()
  utimesSync(path, now, now)
  return true
}

/** What no run has used for a month was made of sources that are no more. */
function forgetUnused(): void {
  if (!existsSync(cacheFolder)) return
  for (const name of readdirSync(cacheFolder)) {
    const path = join(cacheFolder, name)
    if (name !== 'run' && statSync(path).mtimeMs < Date.now() - monthMs) rmSync(path, { recursive: true })
  }
}
