import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
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
export async function unpacked(name: string, packages: readonly string[], needs: 'alone' | 'with what they need'): Promise<string> {
  return kept(keptAt(name, [needs, ...packages]), async (folder) => {
    const archives = join(folder, '.archives')
    mkdirSync(join(archives, 'partial'), { recursive: true })
    await freshly(() =>
      needs === 'alone' ? run('apt-get', ['download', '-q', ...packages], { cwd: archives }) : fetchAll(archives, packages),
    )
    for (const archive of readdirSync(archives).filter((file) => file.endsWith('.deb'))) {
      await run('dpkg-deb', ['-x', join(archives, archive), folder])
    }
    rmSync(archives, { recursive: true })
  })
}

/** As if nothing were installed yet. */
async function fetchAll(archives: string, packages: readonly string[]): Promise<void> {
  const elsewhere = ['Dir::State::status=/dev/null', `Dir::Cache::archives=${archives}`, 'Debug::NoLocking=1', 'APT::Sandbox::User=root']
  const options = elsewhere.flatMap((option) => ['-o', option])
  await run('apt-get', ['install', '-y', '-q', '--download-only', '--no-install-recommends', ...options, ...packages])
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
