import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onPath } from './packages.ts'
import { dnsService, type Node, type Place, podRange } from './place.ts'

export const pauseImage = 'localhost/outrider/pause:1'

/** Writes what containerd, its network plugins, the kubelet and kube-proxy of a node are told. */
export function writeSettings(place: Place, node: Node): void {
  const write = (file: string, text: string | object) =>
    writeFileSync(join(node.folder, file), typeof text === 'string' ? text : JSON.stringify(text, null, 2))
  for (const folder of ['run', 'log', 'over', 'sysctl', 'cni', 'containerd', 'kubelet', 'plugins']) {
    mkdirSync(join(node.folder, folder), { recursive: true })
  }
  write('containerd.toml', containerd(node))
  write('cni/10-pods.conflist', network(node))
  write('kubelet.yaml', kubelet(place, node))
  write('proxy.yaml', kubeProxy(place, node))
  // CoreDNS answers what is of the cluster, and says of everything else that it is not.
  write('resolv.conf', `nameserver ${dnsService}\n`)
}

function containerd({ folder }: Node): string {
  return `version = 3
root = "${folder}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "${pauseImage}"
[plugins.'io.containerd.cri.v1.runtime']
disable_apparmor = true
# The first process of a pod is to be the last to be killed, which needs a right that root in a container or a small machine may lack.
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "${onPath('runc') ?? 'runc'}"
SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "${folder}/cni"
`
}

/** A pair of interfaces for each pod and a route on each side: a bridge would need br_netfilter for Services to work. */
function network({ podRange: subnet }: Node): object {
  const addresses = { type: 'host-local', dataDir: '/run/pod-addresses', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] }
  return { cniVersion: '1.0.0', name: 'pods', plugins: [{ type: 'ptp', ipMasq: false, ipam: addresses }] }
}

function kubelet({ folder: cluster }: Place, { name, folder, cgroup }: Node): object {
  const pki = join(cluster, 'pki')
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: `${pki}/ca.crt` } },
    authorization: { mode: 'Webhook' },
    tlsCertFile: `${pki}/${name}-server.crt`,
    tlsPrivateKeyFile: `${pki}/${name}-server.key`,
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    clusterDNS: [dnsService],
    clusterDomain: 'cluster.local',
    resolvConf: `${folder}/resolv.conf`,
    podLogsDir: '/var/log/pods',
    volumePluginDir: `${folder}/plugins`,
    // A minute as elsewhere would have tests of rotated keys wait for a minute and a half.
    syncFrequency: '2s',
    configMapAndSecretChangeDetectionStrategy: 'Watch',
    // The machine's disk may be full without our pods having to leave.
    evictionHard: Object.fromEntries(
      ['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree'].map((signal) => [
        signal,
        '0%',
      ]),
    ),
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  }
}

function kubeProxy({ folder }: Place, { name }: Node): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: join(folder, 'pki/proxy.yaml') },
    mode: 'nftables',
    clusterCIDR: podRange,
    // Tests are full of Services that have just been made.
    nftables: { minSyncPeriod: '100ms' },
    hostnameOverride: name,
    // These are the machine's, not ours to set.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  }
}
