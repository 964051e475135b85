// `npm run test:image`: builds the image and runs it as a node of Kubernetes would, in a network without a way out.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readArchive } from '../../sidecar/image/archive.ts'
import { installPackages } from '../../sidecar/image/debian.ts'

const root = join(import.meta.dirname, '../..')

const needs: Readonly<Record<string, string>> = { runc: 'runc', unshare: 'util-linux', ip: 'iproute2', tar: 'tar' }

const isHere = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0

/** Says what is in the way, or nothing. */
function obstacle(): string | undefined {
  if (process.platform !== 'linux') return 'The tests of the image need Linux.'
  if (process.getuid?.() !== 0)
    return 'The tests of the image need root, for containers, cgroups and a network of their own: sudo npm run test:image'
  const missing = Object.keys(needs).filter((command) => !isHere(command))
  if (missing.length === 0) return undefined
  installPackages(
    missing.map((command) => needs[command] ?? command),
    'A test of the image',
  )
  return undefined
}

function node(
  args: readonly string[],
  { before = [], env = {} }: { before?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): boolean {
  const [file = '', ...rest] = [...before, process.execPath, ...args]
  return spawnSync(file, rest, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status === 0
}

function unpack(archive: string, again: string, folder: string): void {
  const rootfs = join(folder, 'rootfs')
  mkdirSync(rootfs)
  mkdirSync(join(folder, 'archive'))
  const { config, layers } = readArchive(archive, join(folder, 'archive'))
  for (const layer of layers) {
    if (spawnSync('tar', ['-C', rootfs, '-xpf', layer]).status !== 0) throw new Error(`${layer} cannot be unpacked`)
  }
  const { Entrypoint: entrypoint = [], Env: env = [], User: user = '' } = config.config
  writeFileSync(join(folder, 'image.json'), JSON.stringify({ rootfs, entrypoint, env, user, archive, again }))
}

function main(): number {
  const words = obstacle()
  if (words !== undefined) {
    console.error(words)
    return 1
  }
  const folder = mkdtempSync(join(tmpdir(), 'outrider-image-'))
  try {
    const archive = join(folder, 'image.tar')
    const again = join(folder, 'again.tar')
    const image = join(root, 'sidecar/image/image.ts')
    // The second time with nothing kept from the first, and by somebody whose files are nobody else's business.
    const before = ['sh', '-c', 'umask 077; exec "$@"', 'sh']
    if (!node([image, '--output', archive]) || !node([image, '--output', again, '--cache', join(folder, 'cache')], { before })) return 1
    unpack(archive, again, folder)
    const test = [
      '--test',
      '--test-timeout=120000',
      '--test-reporter=./test/closingLine.ts',
      '--test-concurrency=1',
      ...process.argv.slice(2),
      'test/image/*.test.ts',
    ]
    // Killed at once with everything in it, and with nothing outside that it could reach.
    const apart = [
      'unshare',
      '--net',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--',
      'sh',
      '-c',
      'ip link set lo up && exec "$@"',
      'sh',
    ]
    return node(test, { before: apart, env: { OUTRIDER_IMAGE: folder } }) ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  process.exitCode = main()
} catch (err) {
  console.error(err instanceof Error ? err.message : err)
  process.exitCode = 1
}
