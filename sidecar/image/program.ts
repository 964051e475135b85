import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { bundle } from './bundle.ts'
import { carriedPackages, sbom } from './sbom.ts'

const root = join(import.meta.dirname, '../..')

/** Makes what changes with every commit: the bundle, the list of what is in it, and the licences. */
export async function program(folder: string): Promise<void> {
  const library = join(folder, 'usr/lib/outrider')
  mkdirSync(library, { recursive: true })
  await bundle(library)
  const lock: unknown = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  writeFileSync(join(library, 'sbom.cdx.json'), `${JSON.stringify(sbom(lock), null, 2)}\n`)
  writeFileSync(
    join(library, 'LICENSES'),
    carriedPackages(lock)
      .map(([path]) => licenceOf(path))
      .join('\n'),
  )
  // Written anew, not copied: the rights of a file in a checkout are those of its owner's habits.
  writeFileSync(join(library, 'LICENSE'), readFileSync(join(root, 'LICENSE')))
}

/** A bundle holds the code of others, whose terms ask for their words to be carried along. */
function licenceOf(path: string): string {
  const folder = join(root, path)
  const name = readdirSync(folder).find((file) => /^((un)?licen[cs]e|copying)/i.test(file))
  return `${path.replace('node_modules/', '')}\n\n${name === undefined ? 'See its package.' : readFileSync(join(folder, name), 'utf8').trim()}\n`
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2)
  if (folder === undefined) throw new Error('say where to: program.ts FOLDER')
  process.umask(0o022)
  await program(resolve(folder))
}
