import { chmodSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, kept } from './cache.ts'
import { installMissing, onPath } from './packages.ts'
import { run } from './run.ts'

/** Builds everything of kube/go.mod; what is on the PATH is taken if it can fetch a newer one by itself. */
const version = '1.26.8'

/** A Go that can build the programs of the cluster. */
export async function go(): Promise<string> {
  const own = onPath('go')
  if (own !== undefined && (await fetchesNewer(own))) return own
  // Debian 12 has Go 1.19, which knows nothing of toolchains, but can fetch one: it is a module like any other.
  await installMissing([{ package: 'golang-go', file: 'go', use: 'fetches a newer Go' }])
  const folder = await kept(join(cacheFolder, `go-${version}`), fetchToolchain)
  return join(folder, 'bin/go')
}

async function fetchesNewer(file: string): Promise<boolean> {
  const [, minor = '0'] = /go1\.(\d+)/.exec(await run(file, ['version'])) ?? []
  return Number(minor) >= 21
}

async function fetchToolchain(folder: string): Promise<void> {
  const platform = `linux-${process.arch === 'x64' ? 'amd64' : process.arch}`
  const said = await run(onPath('go') ?? 'go', ['mod', 'download', '-json', `golang.org/toolchain@v0.0.1-go${version}.${platform}`], {
    cwd: folder,
    env: { GO111MODULE: 'on', GOFLAGS: '-modcacherw' },
  })
  const { Dir: unpacked }: { Dir: string } = JSON.parse(said)
  await run('cp', ['-r', `${unpacked}/.`, folder])
  // A module keeps no modes.
  for (const programs of ['bin', `pkg/tool/${platform.replace('-', '_')}`]) {
    for (const name of readdirSync(join(folder, programs))) chmodSync(join(folder, programs, name), 0o755)
  }
}
