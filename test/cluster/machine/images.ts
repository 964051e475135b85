import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { writeArchive } from '../../../sidecar/image/archive.ts'
import { isKept, keptAt } from './cache.ts'
import type { Place } from './place.ts'
import { run } from './run.ts'
import { pauseImage } from './settings.ts'
import type { State } from './state.ts'
import { until } from './until.ts'

export const architecture = process.arch === 'x64' ? 'amd64' : process.arch

const startingMs = 60_000

/** The image of the first process of every pod, which the cluster's other programs borrow. */
export async function pauseArchive(programs: string): Promise<string> {
  const file = `${keptAt('pause', [programs])}.tar`
  const config = { architecture, env: [], user: '65532:65532', entrypoint: ['/pause'] }
  if (!isKept(file)) await writeArchive(join(programs, 'image'), file, pauseImage, config)
  return file
}

/** Gives every node the image in an archive, as a registry would. */
export async function loadImage(place: Place, state: Pick<State, 'programs'>, file: string): Promise<void> {
  const load = async (folder: string) => {
    const socket = join(folder, 'run/containerd/containerd.sock')
    const ctr = (...args: readonly string[]) => run(join(state.programs, 'ctr'), ['--address', socket, '--namespace', 'k8s.io', ...args])
    await until('containerd answers', () => existsSync(socket) && answers(() => ctr('version')), startingMs)
    await ctr('images', 'import', '--local=false', file)
  }
  await Promise.all(place.nodes.map((node) => load(node.folder)))
}

async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch {
    return false
  }
}
