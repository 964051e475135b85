import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { writeArchive } from '../../../sidecar/image/archive.ts'
import { cacheFolder, isKept, keptAt } from '../machine/cache.ts'
import { architecture } from '../machine/images.ts'
import { unpacked } from '../machine/packages.ts'
import { run } from '../machine/run.ts'

export const appImage = 'localhost/outrider-test/app:1'

const packages = ['libc6', 'libstdc++6', 'libatomic1', 'curl', 'busybox-static']
const programs = ['ask', 'steady', 'listen', 'provider']
const links = ['sh', 'cat', 'ls', 'env', 'sleep', 'grep', 'find', 'id', 'true']

/** The image of what stands beside the sidecar and behind it in the tests: curl, a few tools, Node, and the programs of this folder. */
export async function appArchive(): Promise<string> {
  const files = await unpacked('debian-app', packages, 'with what they need')
  const work = join(cacheFolder, `app-${process.pid}`)
  const outdir = join(work, 'app')
  const entryPoints = programs.map((name) => join(import.meta.dirname, `${name}.ts`))
  await build({ entryPoints, outdir, bundle: true, format: 'cjs', outExtension: { '.js': '.cjs' }, platform: 'node', logLevel: 'warning' })
  const sources = programs.map((name) => readFileSync(join(outdir, `${name}.cjs`)))
  const file = `${keptAt('app', [files, process.version, ...links, ...sources])}.tar`
  try {
    if (!isKept(file)) await make(files, work, file)
  } finally {
    await run('rm', ['-r', work])
  }
  return file
}

async function make(files: string, folder: string, archive: string): Promise<void> {
  await run('cp', ['-a', `${files}/.`, folder])
  const bin = join(folder, 'usr/bin')
  mkdirSync(bin, { recursive: true })
  for (const name of readdirSync(join(folder, 'bin')))
    if (name === 'busybox') copyFileSync(join(folder, 'bin/busybox'), join(bin, 'busybox'))
  for (const name of links) if (!existsSync(join(bin, name))) symlinkSync('busybox', join(bin, name))
  copyFileSync(process.execPath, join(bin, 'node'))
  await run('rm', ['-rf', join(folder, 'usr/share/doc'), join(folder, 'usr/share/man'), join(folder, 'usr/share/locale')])
  await writeArchive(folder, archive, appImage, { architecture, env: ['PATH=/usr/bin:/bin'], user: '1000:1000' })
}
