import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import tls from 'node:tls'
import { parseArgs } from 'node:util'
import { compressedBytes, readArchive } from './archive.ts'
import { localBases } from './bases.ts'
import { findBuilder } from './builder.ts'
import { CannotBuild, said } from './said.ts'
import { version } from '../version.ts'

const root = join(import.meta.dirname, '../..')

export const usage = `npm run image -- [--output FILE] [--name NAME] [--bases local|public] [--builder buildah|podman|docker] [--cache FOLDER]

Builds the image of this commit and writes it to FILE (dist/image.tar), in the form that docker load, podman load and ctr images import read,
under NAME (localhost/outrider:${version}). --bases local makes both bases of the Dockerfile from Debian packages and is the default where apt-get
is; public takes those that the Dockerfile names.`

export interface Built {
  readonly id: string
  readonly name: string
  readonly compressedMiB: number
  readonly builder: string
}

export interface Wishes {
  readonly output: string
  readonly name: string
  readonly cache: string
  readonly bases?: string | undefined
  readonly builder?: string | undefined
}

/** Builds the image of this working tree; its times are those of the commit, so that the same files make the same image. */
export async function buildImage({ output, name, cache, ...wishes }: Wishes): Promise<Built> {
  const bases = wishes.bases ?? (said('apt-get', ['--version']) === null ? 'public' : 'local')
  if (bases !== 'local' && bases !== 'public') throw new CannotBuild(`--bases takes local or public, not "${bases}".`)
  mkdirSync(dirname(output), { recursive: true })
  const work = workFolder(cache)
  try {
    const builder = findBuilder(wishes.builder, work)
    const made = bases === 'local' ? await localBases(join(cache, 'bases')) : null
    const { epoch, revision } = commit()
    builder.build({
      name,
      context: root,
      output,
      epoch,
      args: {
        ...(made !== null && { BUILD: made.build.name, BASE: made.final.name }),
        VERSION: version,
        REVISION: revision,
        CREATED: new Date(Number(epoch) * 1000).toISOString(),
      },
      bases: made === null ? [] : [made.build, made.final],
      ca: ownRoots(work),
    })
    const archive = readArchive(output, work)
    return { id: archive.id, name, compressedMiB: (await compressedBytes(archive)) / 2 ** 20, builder: builder.name }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** A folder for one build. Builds may run side by side; those that were killed left theirs behind. */
function workFolder(cache: string): string {
  mkdirSync(cache, { recursive: true })
  for (const name of readdirSync(cache)) {
    const pid = Number(/^build-(\d+)-/.exec(name)?.[1])
    if (pid > 0 && !existsSync(`/proc/${pid}`)) rmSync(join(cache, name), { recursive: true, force: true })
  }
  return mkdtempSync(join(cache, `build-${process.pid}-`))
}

/** What git says of this tree; a tree without git has neither. */
function commit(): { epoch: string; revision: string } {
  const git = (...args: string[]): string | null => said('git', ['-c', `safe.directory=${root}`, ...args], root)
  const [epoch = '', hash = ''] = (git('log', '-1', '--format=%ct %H') ?? '').split(' ')
  if (hash === '') return { epoch: '0', revision: '' }
  return { epoch, revision: git('status', '--porcelain') === '' ? hash : `${hash}-changed` }
}

/** Roots that this machine's Node was told to trust besides the usual ones: npm needs them inside of the build as well. */
function ownRoots(work: string): string | undefined {
  const extra = tls.getCACertificates('extra')
  if (extra.length === 0) return undefined
  const file = join(work, 'ca.pem')
  writeFileSync(file, extra.join('\n'))
  return file
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', default: join(root, 'dist/image.tar') },
      name: { type: 'string', default: `localhost/outrider:${version}` },
      cache: { type: 'string', default: join(homedir(), '.cache/outrider/image') },
      bases: { type: 'string' },
      builder: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(`${usage}\n`)
    return
  }
  const output = resolve(values.output)
  const { id, name, compressedMiB, builder } = await buildImage({ ...values, output, cache: resolve(values.cache) })
  process.stdout.write(`${output}: ${name}, ${id}, ${compressedMiB.toFixed(1)} MiB compressed, built by ${builder}\n`)
}

if (import.meta.main) {
  main().catch((err: unknown) => {
    process.stderr.write(`${err instanceof Error ? err.message : String(err)}\n`)
    process.exitCode = 1
  })
}
