import { createHash } from 'node:crypto'
import { createReadStream, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from './run.ts'

export type Image = {
  readonly name: string
  /** Folders, the lowest first. */
  readonly layers: readonly string[]
  readonly config: Readonly<Record<string, unknown>>
}

/** Makes an archive of an image as `docker save` does; the same folders give the same bytes. */
export async function archive({ name, layers, config }: Image, file: string): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'outrider-image-'))
  try {
    const digests: string[] = []
    for (const [index, layer] of layers.entries()) {
      await tar(layer, join(work, `${index}.tar`), '.')
      digests.push(`sha256:${await digest(join(work, `${index}.tar`))}`)
    }
    const created = '1970-01-01T00:00:00Z'
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch
    const history = layers.map(() => ({ created }))
    const facts = { architecture, os: 'linux', created, config, rootfs: { type: 'layers', diff_ids: digests }, history }
    writeFileSync(join(work, 'config.json'), JSON.stringify(facts))
    const files = layers.map((_, index) => `${index}.tar`)
    writeFileSync(join(work, 'manifest.json'), JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: files }]))
    await tar(work, `${file}.${process.pid}`, 'manifest.json', 'config.json', ...files)
    renameSync(`${file}.${process.pid}`, file)
  } finally {
    rmSync(work, { recursive: true })
  }
}

async function tar(folder: string, file: string, ...entries: readonly string[]): Promise<void> {
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
  await run('tar', ['-C', folder, ...same, '-cf', file, ...entries])
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
