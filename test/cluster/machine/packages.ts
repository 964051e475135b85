import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { kept, keptAt } from './cache.ts'
import { run } from './run.ts'

type Tool = { readonly package: string; readonly file: string; readonly use: string }

/** What is taken from the machine. A file without a folder is looked for on the PATH. */
export const tools: readonly Tool[] = [
  { package: 'iproute2', file: 'ip', use: 'addresses and routes of the nodes' },
  { package: 'nftables', file: 'nft', use: 'what kube-proxy writes its rules with' },
  { package: 'runc', file: 'runc', use: 'starts the containers' },
  { package: 'containernetworking-plugins', file: '/usr/lib/cni/ptp', use: 'the network of the pods' },
  { package: 'openssl', file: 'openssl', use: 'certificates' },
]

const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']

/** Where a program is, by its name. */
export function onPath(name: string): string | undefined {
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file))
}

/** Installs the packages whose files are not there. */
export async function installMissing(wanted: readonly Tool[] = tools): Promise<void> {
  const missing = wanted.filter(({ file }) => !(file.startsWith('/') ? existsSync(file) : onPath(file)))
  if (missing.length === 0) return
  const names = missing.map((tool) => tool.package)
  if (process.getuid?.() !== 0 || onPath('apt-get') === undefined) {
    throw new Error(`missing: ${missing.map((tool) => `${tool.file} (Debian package ${tool.package})`).join(', ')}. Install them.`)
  }
  console.log(`installing ${names.join(', ')}`)
  // The packages start services of their own unless told that none may be started.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  await freshly(() => run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], { env }))
}

/** The files of Debian packages in a folder of their own: nothing is installed and no service started. */
export async function unpacked(name: string, packages: readonly string[], withDependencies = false): Promise<string> {
  return kept(keptAt(name, [...packages, String(withDependencies)]), async (folder) => {
    const archives = join(folder, '.debs')
    mkdirSync(archives)
    await freshly(async () => {
      const all = withDependencies ? await dependencies(packages) : packages
      await run('apt-get', ['download', '-q', ...all], { cwd: archives })
    })
    for (const archive of readdirSync(archives)) await run('dpkg-deb', ['-x', join(archives, archive), folder])
    await run('rm', ['-r', archives])
  })
}

async function dependencies(packages: readonly string[]): Promise<readonly string[]> {
  const not = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`)
  const said = await run('apt-cache', ['depends', '--recurse', ...not, ...packages])
  // Names in angle brackets are no packages, and what is indented is told again without.
  return [...new Set(said.split('\n').filter((line) => /^[a-z0-9]/.test(line)))].filter((name) => !name.includes(':'))
}

/** A list of packages that is old or absent is fetched anew, once. */
async function freshly(fetch: () => Promise<unknown>): Promise<void> {
  try {
    await fetch()
  } catch {
    await run('apt-get', ['update', '-q'])
    await fetch()
  }
}
