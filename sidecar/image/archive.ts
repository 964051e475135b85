import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { run } from './said.ts'

export interface ImageConfig {
  readonly architecture: string
  readonly env: readonly string[]
  readonly user: string
  readonly entrypoint?: readonly string[]
}

/** Writes a folder as an image of one layer, in the form that docker, podman, buildah and containerd all read. */
export async function writeArchive(folder: string, file: string, name: string, facts: ImageConfig): Promise<void> {
  const { architecture, env, user, entrypoint } = facts
  mkdirSync(dirname(file), { recursive: true })
  const work = mkdtempSync(join(dirname(file), 'archive-'))
  try {
    const layer = join(work, 'layer.tar')
    const sameEverywhere = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
    run('tar', ['-C', folder, ...sameEverywhere, '-cf', layer, '.'])
    const created = '1970-01-01T00:00:00Z'
    const config = JSON.stringify({
      architecture,
      os: 'linux',
      created,
      config: { Env: env, User: user, ...(entrypoint !== undefined && { Entrypoint: entrypoint }) },
      rootfs: { type: 'layers', diff_ids: [`sha256:${await sha256(layer)}`] },
      history: [{ created }],
    })
    const id = createHash('sha256').update(config).digest('hex')
    writeFileSync(join(work, `${id}.json`), config)
    writeFileSync(join(work, 'manifest.json'), JSON.stringify([{ Config: `${id}.json`, RepoTags: [name], Layers: ['layer.tar'] }]))
    const whole = join(work, 'whole.tar')
    run('tar', ['-C', work, ...sameEverywhere, '-cf', whole, 'manifest.json', `${id}.json`, 'layer.tar'])
    renameSync(whole, file)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

export interface ImageArchive {
  /** The SHA-256 of the configuration, which names every layer by its content: what docker and containerd call the image id. */
  readonly id: string
  readonly config: {
    readonly config: {
      readonly Env?: readonly string[]
      readonly Entrypoint?: readonly string[]
      readonly User?: string
      readonly Labels?: Readonly<Record<string, string>>
    }
    readonly [key: string]: unknown
  }
  /** Tar files, the lowest first. */
  readonly layers: readonly string[]
}

/** Unpacks an archive, not its layers, into `folder`. */
export function readArchive(file: string, folder: string): ImageArchive {
  run('tar', ['-C', folder, '-xf', file])
  const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'))
  const [manifest] = read('manifest.json') as { Config: string; Layers: readonly string[] }[]
  if (manifest === undefined) throw new Error(`${file} holds no image`)
  const config = read(manifest.Config) as ImageArchive['config']
  const id = createHash('sha256')
    .update(readFileSync(join(folder, manifest.Config)))
    .digest('hex')
  return { id: `sha256:${id}`, config, layers: manifest.Layers.map((layer) => join(folder, layer)) }
}

/** What a registry would store and a node would fetch. */
export async function compressedBytes({ layers }: ImageArchive): Promise<number> {
  let bytes = 0
  for (const layer of layers) {
    await pipeline(createReadStream(layer), createGzip(), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) bytes += chunk.length
    })
  }
  return bytes
}

export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
