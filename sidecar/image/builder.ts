import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Base } from './bases.ts'
import { CannotBuild, run, said } from './said.ts'

export interface Order {
  readonly name: string
  readonly context: string
  readonly output: string
  /** Seconds: the time of everything in the image. */
  readonly epoch: string
  readonly args: Readonly<Record<string, string>>
  /** Where the bases come from; without them from where the Dockerfile says. */
  readonly bases: readonly Base[]
  /** A file with the roots of a network that has its own. */
  readonly ca?: string | undefined
  readonly fresh: boolean
}

export interface Builder {
  readonly name: string
  readonly build: (order: Order) => void
}

type Make = (storage: string) => Builder

export const builders: Readonly<Record<string, Make>> = { buildah, podman, docker }

/** The first that is here; on a Debian with root, buildah is fetched. */
export function findBuilder(wanted: string | undefined, storage: string): Builder {
  if (wanted !== undefined) {
    const make = Object.hasOwn(builders, wanted) ? builders[wanted] : undefined
    if (make === undefined) throw new CannotBuild(`There is no builder "${wanted}": --builder takes ${Object.keys(builders).join(', ')}.`)
    if (!works(wanted)) throw new CannotBuild(`${wanted} is not here, or does not answer.`)
    return make(storage)
  }
  const name = Object.keys(builders).find(works) ?? install()
  const make = builders[name]
  if (make === undefined) throw new CannotBuild('buildah was installed and does not start.')
  return make(storage)
}

/** Docker is often here without its daemon. */
const works = (name: string): boolean => said(name, name === 'docker' ? ['info', '--format', '{{.ID}}'] : ['--version']) !== null

function install(): string {
  if (process.getuid?.() !== 0 || said('apt-get', ['--version']) === null) {
    throw new CannotBuild(
      'An image is built by buildah, podman or docker, and none of them is here. Install one: apt-get install buildah, as root.',
    )
  }
  process.stdout.write('No builder is here: installing the packages buildah and golang-github-containers-common\n')
  run('env', [
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    'install',
    '-y',
    '-q',
    '--no-install-recommends',
    'buildah',
    'golang-github-containers-common',
  ])
  return works('buildah') ? 'buildah' : ''
}

function argsOf({ args, epoch, ca, fresh, name }: Order): string[] {
  return [
    ...Object.entries({ ...args, SOURCE_DATE_EPOCH: epoch }).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
    ...(ca === undefined ? [] : ['--secret', `id=ca,src=${ca}`]),
    ...(fresh ? ['--no-cache'] : []),
    '-t',
    name,
  ]
}

/** Storage of its own, so that neither the images of the user nor their settings come into play. */
function ownStorage(storage: string): string[] {
  mkdirSync(storage, { recursive: true })
  return ['--root', join(storage, 'layers'), '--runroot', join(storage, 'run'), '--storage-driver', overlays(storage) ? 'overlay' : 'vfs']
}

/** Overlays cannot be stacked: in most containers they are refused, and plain copies do as well, slower. */
function overlays(storage: string): boolean {
  const probe = join(storage, 'probe')
  for (const folder of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(probe, folder), { recursive: true })
  const options = `lowerdir=${probe}/lower,upperdir=${probe}/upper,workdir=${probe}/work`
  const mounted = said('mount', ['-t', 'overlay', 'overlay', '-o', options, join(probe, 'merged')]) !== null
  if (mounted) run('umount', [join(probe, 'merged')])
  rmSync(probe, { recursive: true, force: true })
  return mounted
}

/** What buildah and podman, which is buildah inside, have in common. */
const likeBuildah = (order: Order): string[] => [
  'build',
  '--isolation',
  'chroot',
  '--pull=missing',
  '--layers',
  '--timestamp',
  order.epoch,
  '--identity-label=false',
  ...argsOf(order),
  order.context,
]

function buildah(storage: string): Builder {
  const own = ownStorage(join(storage, 'buildah'))
  return {
    name: 'buildah',
    build: (order) => {
      for (const { name, archive } of order.bases) {
        if (said('buildah', [...own, 'inspect', '--type', 'image', name]) === null)
          run('buildah', [...own, 'pull', '-q', `docker-archive:${archive}`])
      }
      run('buildah', [...own, ...likeBuildah(order)], { loud: true })
      rmSync(order.output, { force: true })
      run('buildah', [...own, 'push', '-q', order.name, `docker-archive:${order.output}:${order.name}`])
    },
  }
}

function podman(storage: string): Builder {
  const own = ownStorage(join(storage, 'podman'))
  return {
    name: 'podman',
    build: (order) => {
      for (const { name, archive } of order.bases) {
        if (said('podman', [...own, 'image', 'inspect', name]) === null) run('podman', [...own, 'load', '-q', '-i', archive])
      }
      run('podman', [...own, ...likeBuildah(order)], { loud: true })
      rmSync(order.output, { force: true })
      run('podman', [...own, 'save', '--format', 'docker-archive', '-o', order.output, order.name])
    },
  }
}

function docker(): Builder {
  return {
    name: 'docker',
    build: (order) => {
      for (const { archive } of order.bases) run('docker', ['load', '-q', '-i', archive])
      rmSync(order.output, { force: true })
      const to = `type=docker,dest=${order.output},rewrite-timestamp=true`
      run('docker', ['buildx', 'build', '--provenance=false', '--output', to, ...argsOf(order), order.context], { loud: true })
      if (!existsSync(order.output)) throw new CannotBuild(`docker wrote no ${order.output}.`)
    },
  }
}
