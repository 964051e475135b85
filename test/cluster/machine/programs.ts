import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { kept, keptAt } from './cache.ts'
import { go } from './go.ts'
import { run } from './run.ts'

const source = join(import.meta.dirname, '../kube')

// -trimpath is part of what the compiler's cache goes by, so it is the same everywhere.
const flags = '-mod=readonly -trimpath -buildvcs=false'
const tags = 'no_btrfs,no_devmapper,no_zfs'
const links = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
  'coredns',
  'metrics-server',
  'containerd',
  'ctr',
]

// A cold build takes some 15 minutes on two free cores, and builds are often the last to get a core.
const longestBuildMs = 60 * 60_000

export type Programs = { readonly folder: string; readonly kubernetes: string }

/** The programs of the cluster, built from the Go module proxy where this machine has not built them from the same sources before. */
export async function programs(): Promise<Programs> {
  const files = ['go.mod', 'go.sum', 'main.go', 'coredns.go', 'pause/main.go'].map((file) => readFileSync(join(source, file)))
  const kubernetes = /^\tk8s\.io\/kubernetes v(\S+)$/m.exec(String(files[0]))?.[1] ?? ''
  const folder = await kept(keptAt(`kube-${kubernetes}`, [flags, tags, ...links, ...files]), (into) => build(into, kubernetes))
  return { folder, kubernetes }
}

async function build(folder: string, kubernetes: string): Promise<void> {
  const began = performance.now()
  console.log(`building Kubernetes ${kubernetes}: some 15 minutes, once`)
  const compiler = await go()
  const env = { CGO_ENABLED: '0', GOFLAGS: flags, GOTOOLCHAIN: 'auto' }
  const make = (output: string, packages: readonly string[], ...more: readonly string[]) =>
    run('nice', ['-n', '10', compiler, 'build', ...parallel(), '-ldflags', stamps(kubernetes), ...more, '-o', output, ...packages], {
      cwd: source,
      env,
      boundMs: longestBuildMs,
    })
  await make(join(folder, 'kube'), ['.'], '-tags', tags)
  await make(`${folder}/`, ['github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2'], '-tags', tags)
  // It is all that is in the image of the pods' first process, which is made from this folder.
  mkdirSync(join(folder, 'image'))
  await make(join(folder, 'image/pause'), ['./pause'])
  for (const link of links) symlinkSync('kube', join(folder, link))
  console.log(`built ${readdirSync(folder).length} programs in ${Math.round((performance.now() - began) / 1_000)} s`)
}

/** OUTRIDER_BUILD_JOBS holds the build back on a machine that others use as well. */
function parallel(): readonly string[] {
  const jobs = process.env['OUTRIDER_BUILD_JOBS']
  return jobs === undefined ? [] : ['-p', jobs]
}

/** Without these the API server calls itself v0.0.0, and Helm refuses every chart that asks for a version. */
function stamps(kubernetes: string): string {
  const [major, minor] = kubernetes.split('.')
  const facts = { gitVersion: `v${kubernetes}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean', buildDate: '2026-01-01T00:00:00Z' }
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
  return ['-s -w', ...packages.flatMap((name) => Object.entries(facts).map(([fact, value]) => `-X ${name}.${fact}=${value}`))].join(' ')
}
