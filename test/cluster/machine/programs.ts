import { linkSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { kept, keptAt } from './cache.ts'
import { compile } from './compile.ts'

const source = join(import.meta.dirname, '../kube')

// What an older Kubernetes has of its own.
const kubernetesLinks = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy', 'kubectl']
const otherLinks = ['etcd', 'coredns', 'metrics-server', 'containerd', 'ctr']
const shim = 'containerd-shim-runc-v2'
const pause = 'image/pause'

export type Programs = { readonly folder: string; readonly kubernetes: string }

/**
 * The programs of the cluster, built from the Go module proxy where this machine has not built them from the same sources before: the newest
 * Kubernetes, or the one with this minor version.
 */
export async function programs(minor?: string): Promise<Programs> {
  const files = sourcesOf(source, ['main.go', 'coredns.go', 'pause/main.go'])
  const kubernetes = kubernetesOf(files)
  const folder = await kept(keptAt(`kube-${kubernetes}`, files), (into) => buildAll(into, kubernetes))
  return minor === undefined || kubernetes.startsWith(`${minor}.`) ? { folder, kubernetes } : olderPrograms(minor, folder)
}

/** What is not Kubernetes itself stays the newest: only Kubernetes is skewed. */
async function olderPrograms(minor: string, newest: string): Promise<Programs> {
  const older = join(source, 'older')
  const files = sourcesOf(older, ['main.go'])
  const kubernetes = kubernetesOf(files)
  if (!kubernetes.startsWith(`${minor}.`))
    throw new Error(`There is no Kubernetes ${minor} here but ${kubernetes} and the newest: see test/cluster/kube/.`)
  const folder = await kept(keptAt(`kube-${kubernetes}`, [newest, ...files]), async (into) => {
    await timed(`Kubernetes ${kubernetes}`, () => compile({ source: older, kubernetes, package: '.', output: join(into, 'older') }))
    mkdirSync(join(into, 'image'))
    for (const file of ['kube', shim, pause]) linkSync(join(newest, file), join(into, file))
    for (const link of kubernetesLinks) symlinkSync('older', join(into, link))
    for (const link of otherLinks) symlinkSync('kube', join(into, link))
  })
  return { folder, kubernetes }
}

// What is needed for some tests only, and built when they ask for it. All of it is on the client libraries of the same Kubernetes.
const tools = {
  // Debian's cannot discover what runs on Kubernetes. The other kinds of discovery bring the SDK of a cloud each.
  prometheus: { package: 'github.com/prometheus/prometheus/cmd/prometheus', tags: 'remove_all_sd,enable_kubernetes_sd' },
  helm3: { package: 'helm.sh/helm/v3/cmd/helm' },
  helm4: { package: 'helm.sh/helm/v4/cmd/helm' },
  kubeconform: { package: 'github.com/yannh/kubeconform/cmd/kubeconform' },
}

export type Tool = keyof typeof tools

/** One of the tools, by its file. */
export async function tool(name: Tool): Promise<string> {
  const wanted: { readonly package: string; readonly tags?: string } = tools[name]
  const files = sourcesOf(source, [])
  const folder = await kept(keptAt(name, [JSON.stringify(wanted), ...files]), (into) =>
    timed(name, () => compile({ source, kubernetes: kubernetesOf(files), output: join(into, name), ...wanted })),
  )
  return join(folder, name)
}

async function buildAll(folder: string, kubernetes: string): Promise<void> {
  const common = { source, kubernetes, tags: 'no_btrfs,no_devmapper,no_zfs' }
  await timed(`Kubernetes ${kubernetes}`, async () => {
    await compile({ ...common, package: '.', output: join(folder, 'kube') })
    await compile({ ...common, package: `github.com/containerd/containerd/v2/cmd/${shim}`, output: join(folder, shim) })
    // It is all that is in the image of the pods' first process, which is made from this folder.
    mkdirSync(join(folder, 'image'))
    await compile({ ...common, package: './pause', output: join(folder, pause) })
  })
  for (const link of [...kubernetesLinks, ...otherLinks]) symlinkSync('kube', join(folder, link))
}

async function timed(what: string, build: () => Promise<void>): Promise<void> {
  console.log(`building ${what}, once; the whole of Kubernetes takes some ten minutes`)
  const began = performance.now()
  await build()
  console.log(`built in ${Math.round((performance.now() - began) / 1_000)} s`)
}

function sourcesOf(folder: string, names: readonly string[]): readonly [string, ...string[]] {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
  return [read('go.mod'), read('go.sum'), ...names.map(read)]
}

function kubernetesOf([goMod]: readonly [string, ...string[]]): string {
  return /^\tk8s\.io\/kubernetes v(\S+)$/m.exec(goMod)?.[1] ?? ''
}
