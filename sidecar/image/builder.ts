import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Base } from './bases.ts'
import { canInstall, installPackages } from './debian.ts'
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
}

export interface Builder {
  readonly name: string
  readonly build: (order: Order) => void
}

/** `folder` is for what a build leaves behind; the caller removes it. */
type Make = (folder: string) => Builder

/** The first that is here; on a Debian with root, buildah is fetched. */
export function findBuilder(wanted: string | undefined, folder: string): Builder {
  if (wanted !== undefined) {
    const make = Object.hasOwn(builders, wanted) ? builders[wanted] : undefined
    if (make === undefined) throw new CannotBuild(`There is no builder "${wanted}": --builder takes ${Object.keys(builders).join(', ')}.`)
    if (!works(wanted)) throw new CannotBuild(`${wanted} is not here, or does not answer.`)
    return make(folder)
  }
  const name = Object.keys(builders).find(works) ?? install()
  const make = builders[name]
  if (make === undefined) throw new CannotBuild('buildah was installed and does not start.')
  return make(folder)
}

/** Docker is often here without its daemon. */
const works = (name: string): boolean => said(name, name === 'docker' ? ['info', '--format', '{{.ID}}'] : ['--version']) !== null

function install(): string {
  if (!canInstall()) {
    throw new CannotBuild(
      'An image is built by buildah, podman or docker, and none of them is here: apt-get install buildah, as root, or any of them.',
    )
  }
  // The second holds the policy without which the first takes no image.
  installPackages(['buildah', 'golang-github-containers-common'], 'The build of an image')
  return works('buildah') ? 'buildah' : ''
}

function argsOf({ args, epoch, ca, name }: Order): string[] {
  return [
    ...Object.entries({ ...args, SOURCE_DATE_EPOCH: epoch }).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
    ...(ca === undefined ? [] : ['--secret', `id=ca,src=${ca}`]),
    '-t',
    name,
  ]
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

interface Speech {
  readonly load: (archive: string) => readonly string[]
  readonly save: (order: Order) => readonly string[]
}

const buildah: Make = (folder) =>
  likeBuildah('buildah', folder, {
    load: (archive) => ['pull', '-q', `docker-archive:${archive}`],
    save: ({ name, output }) => ['push', '-q', name, `docker-archive:${output}:${name}`],
  })

const podman: Make = (folder) =>
  likeBuildah('podman', folder, {
    load: (archive) => ['load', '-q', '-i', archive],
    save: ({ name, output }) => ['save', '-q', '--format', 'docker-archive', '-o', output, name],
  })

/** Podman is buildah inside. Its storage is for this one build: neither the user's images nor a build beside it come into play, and nothing piles up. */
function likeBuildah(program: string, folder: string, { load, save }: Speech): Builder {
  return {
    name: program,
    build: (order) => {
      mkdirSync(folder, { recursive: true })
      // Podman takes no longer name than 50 characters for this one.
      const running = mkdtempSync(join(tmpdir(), 'outrider-'))
      const places = ['--root', join(folder, 'layers'), '--runroot', running]
      // Without the option it mounts the folder onto itself, and leaves it so.
      const driver = overlays(folder) ? ['overlay', '--storage-opt', 'overlay.skip_mount_home=true'] : ['vfs']
      const own = [...places, '--storage-driver', ...driver]
      try {
        for (const { archive } of order.bases) run(program, [...own, ...load(archive)])
        run(program, [...own, ...build(order)], { loud: true })
        rmSync(order.output, { force: true })
        run(program, [...own, ...save(order)])
      } finally {
        rmSync(running, { recursive: true, force: true })
      }
    },
  }
}

const build = (order: Order): string[] => [
  'build',
  '--isolation',
  'chroot',
  '--pull=missing',
  // What changes seldom stays a layer of its own, but nothing is taken from an earlier build: its labels and times would come with it.
  '--layers',
  '--no-cache',
  '--timestamp',
  order.epoch,
  '--identity-label=false',
  ...argsOf(order),
  order.context,
]

function docker(): Builder {
  return {
    name: 'docker',
    build: (order) => {
      for (const { archive } of order.bases) run('docker', ['load', '-q', '-i', archive])
      rmSync(order.output, { force: true })
      const to = `type=docker,dest=${order.output},rewrite-timestamp=true`
      run('docker', ['buildx', 'build', '--no-cache', '--provenance=false', '--output', to, ...argsOf(order), order.context], {
        loud: true,
      })
      if (!existsSync(order.output)) throw new CannotBuild(`docker wrote no ${order.output}.`)
    },
  }
}

const builders: Readonly<Record<string, Make>> = { buildah, podman, docker }
