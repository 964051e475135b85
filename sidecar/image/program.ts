import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { bundle } from './bundle.ts'
import { sbom } from './sbom.ts'

const root = join(import.meta.dirname, '../..')

/** Makes what changes with every commit: the bundle, the list of what is in it, and the licence. */
export async function program(folder: string): Promise<void> {
  const library = join(folder, 'usr/lib/outrider')
  mkdirSync(library, { recursive: true })
  await bundle(library)
  const read = (name: string): unknown => JSON.parse(readFileSync(join(root, name), 'utf8'))
  writeFileSync(join(library, 'sbom.cdx.json'), `${JSON.stringify(sbom(read('package-lock.json')), null, 2)}\n`)
  copyFileSync(join(root, 'LICENSE'), join(library, 'LICENSE'))
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2)
  if (folder === undefined) throw new Error('say where to: program.ts FOLDER')
  await program(resolve(folder))
}
