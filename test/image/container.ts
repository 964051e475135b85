import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Owner } from '../fixtures/providerExchange.ts'

export interface UnpackedImage {
  readonly rootfs: string
  readonly entrypoint: readonly string[]
  readonly env: readonly string[]
  readonly user: string
  /** The image as it was built, and as it was built once more. */
  readonly archive: string
  readonly again: string
}

export interface ContainerOptions {
  /** `uid:gid`, as a pod's securityContext would say it; else as the image says. */
  readonly user?: string
  readonly memoryMiB?: number
  readonly env?: Readonly<Record<string, string>>
  /** Folders of this machine by their place in the container; read-only there. */
  readonly mounts?: Readonly<Record<string, string>>
}

export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Container {
  /** What runs the image with these arguments. */
  readonly command: (args: readonly string[]) => readonly string[]
  /** Runs one more command in the container that runs, as `kubectl exec` does: by a name that is looked for in PATH. */
  readonly exec: (...command: readonly string[]) => Result
  /** The process of the program, as this machine counts. */
  readonly pid: () => number
  readonly signal: (name: string) => void
  /** Of the cgroup, in MiB. */
  readonly memory: () => Readonly<{ used: number; most: number; kills: number }>
}

/** The image as the run of the tests has unpacked it. */
export function unpackedImage(): UnpackedImage {
  const place = process.env['OUTRIDER_IMAGE']
  if (place === undefined) throw new Error('These tests need the image and a network of their own: npm run test:image')
  return JSON.parse(readFileSync(join(place, 'image.json'), 'utf8')) as UnpackedImage
}

/**
 * A container of the image as a pod with the restricted profile runs it: root read-only, no capability, no new privileges, and nothing
 * writable. It shares the network of the test, as the containers of a pod share theirs; `npm run test:image` has made that for the tests alone.
 */
export function container(t: Owner, { user, memoryMiB = 160, env = {}, mounts = {} }: ContainerOptions = {}): Container {
  const image = unpackedImage()
  const work = mkdtempSync(join(tmpdir(), 'outrider-container-'))
  const id = `outrider-test-${randomBytes(6).toString('hex')}`
  const runc = (...args: readonly string[]): Result => {
    const { status, stdout, stderr } = spawnSync('runc', ['--root', join(work, 'state'), ...args], { encoding: 'utf8', timeout: 30_000 })
    return { code: status, stdout, stderr }
  }
  // In this order: what runc has to undo, cgroups among it, it knows from its files.
  t.after(() => {
    runc('delete', '--force', id)
    rmSync(work, { recursive: true, force: true })
  })
  const state = (): { readonly pid: number } => JSON.parse(runc('state', id).stdout) as { pid: number }
  return {
    command: (args) => {
      mkdirSync(join(work, 'bundle'))
      // The folders of tests are for root alone; those that the kubelet mounts are not.
      for (const source of Object.values(mounts)) chmodSync(source, 0o755)
      const spec = specification(image, id, { user: user ?? image.user, memoryMiB, env, mounts, args: [...image.entrypoint, ...args] })
      writeFileSync(join(work, 'bundle/config.json'), JSON.stringify(spec))
      return ['runc', '--root', join(work, 'state'), 'run', '--bundle', join(work, 'bundle'), id]
    },
    exec: (...command) => runc('exec', id, ...command),
    pid: () => state().pid,
    signal: (name) => {
      const { code, stderr } = runc('kill', id, name)
      if (code !== 0) throw new Error(stderr)
    },
    memory: () => memoryOf(state().pid),
  }
}

interface Wanted extends Required<ContainerOptions> {
  readonly args: readonly string[]
}

function specification({ rootfs, env: ownEnv }: UnpackedImage, id: string, { user, memoryMiB, env, mounts, args }: Wanted): object {
  const [uid, gid] = user.split(':').map(Number)
  const none: readonly string[] = []
  const limit = memoryMiB * 2 ** 20
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid, gid },
      args,
      env: [...ownEnv, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      cwd: '/',
      capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    hostname: 'pod',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
      { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
      ...Object.entries(mounts).map(([destination, source]) => ({
        destination,
        type: 'bind',
        source,
        options: ['rbind', 'rprivate', 'ro'],
      })),
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
      cgroupsPath: `/${id}`,
      resources: { memory: { limit, swap: limit }, devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: [
        '/proc/acpi',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/sched_debug',
        '/sys/firmware',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  }
}

function memoryOf(pid: number): Readonly<{ used: number; most: number; kills: number }> {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')
  const path = (controller: string): string | undefined => lines.find((line) => line.split(':')[1] === controller)?.split(':')[2]
  const old = path('memory')
  const at = old === undefined ? join('/sys/fs/cgroup', path('') ?? '') : join('/sys/fs/cgroup/memory', old)
  const read = (name: string): string => (existsSync(join(at, name)) ? readFileSync(join(at, name), 'utf8') : '0')
  const entry = (file: string, name: string): number => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(read(file))?.[1] ?? 0)
  const [current, peak, events] =
    old === undefined
      ? ['memory.current', 'memory.peak', 'memory.events']
      : ['memory.usage_in_bytes', 'memory.max_usage_in_bytes', 'memory.oom_control']
  // As the kubelet counts: files that were not read lately can go at any time.
  const idleFiles = entry('memory.stat', old === undefined ? 'inactive_file' : 'total_inactive_file')
  return { used: (Number(read(current)) - idleFiles) / 2 ** 20, most: Number(read(peak)) / 2 ** 20, kills: entry(events, 'oom_kill') }
}
