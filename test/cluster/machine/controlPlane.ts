import { join } from 'node:path'
import { type Place, serviceRange } from './place.ts'

export type Program = { readonly name: string; readonly args: readonly string[] }

const etcdUrl = 'http://127.0.0.1:2379'

export function etcd({ folder }: Place): Program {
  return program('etcd', {
    'data-dir': join(folder, 'etcd'),
    // What a power cut would lose here nobody misses.
    'unsafe-no-fsync': 'true',
    'listen-client-urls': etcdUrl,
    'advertise-client-urls': etcdUrl,
    'listen-peer-urls': 'http://127.0.0.1:2380',
    'initial-advertise-peer-urls': 'http://127.0.0.1:2380',
    'initial-cluster': 'default=http://127.0.0.1:2380',
    'log-level': 'warn',
  })
}

export function apiServer({ folder, nodes: [first] }: Place): Program {
  const pki = (file: string) => join(folder, 'pki', file)
  return program('kube-apiserver', {
    'etcd-servers': etcdUrl,
    'bind-address': first.address,
    'advertise-address': first.address,
    'secure-port': '6443',
    'service-cluster-ip-range': serviceRange,
    'allow-privileged': 'true',
    'authorization-mode': 'Node,RBAC',
    'enable-admission-plugins': 'NodeRestriction',
    'client-ca-file': pki('ca.crt'),
    'tls-cert-file': pki('api-server.crt'),
    'tls-private-key-file': pki('api-server.key'),
    'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
    'service-account-key-file': pki('tokens.pub'),
    'service-account-signing-key-file': pki('tokens.key'),
    'kubelet-certificate-authority': pki('ca.crt'),
    'kubelet-client-certificate': pki('api-to-kubelet.crt'),
    'kubelet-client-key': pki('api-to-kubelet.key'),
    'kubelet-preferred-address-types': 'InternalIP',
    // For metrics-server, whose API is served through this one.
    'requestheader-client-ca-file': pki('front-ca.crt'),
    'requestheader-allowed-names': 'front-proxy',
    'requestheader-username-headers': 'X-Remote-User',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'proxy-client-cert-file': pki('front-proxy.crt'),
    'proxy-client-key-file': pki('front-proxy.key'),
    profiling: 'false',
  })
}

/** Started before the API server knows its own roles, the first of them would end at once. */
export function controllers({ folder }: Place): readonly Program[] {
  const pki = (file: string) => join(folder, 'pki', file)
  const as = (name: string) => ({
    kubeconfig: pki(`${name}.yaml`),
    'authentication-kubeconfig': pki(`${name}.yaml`),
    'authorization-kubeconfig': pki(`${name}.yaml`),
    'leader-elect': 'false',
    // As many as it can: a controller manager under its usual limits takes six seconds to start.
    'kube-api-qps': '500',
    'kube-api-burst': '1000',
    profiling: 'false',
  })
  return [
    program('kube-controller-manager', {
      ...as('controllers'),
      'use-service-account-credentials': 'true',
      'service-account-private-key-file': pki('tokens.key'),
      'root-ca-file': pki('ca.crt'),
      'cluster-signing-cert-file': pki('ca.crt'),
      'cluster-signing-key-file': pki('ca.key'),
      'horizontal-pod-autoscaler-sync-period': '5s',
    }),
    program('kube-scheduler', as('scheduler')),
  ]
}

export function kubelet({ folder: cluster }: Place, { name, address, folder }: Place['nodes'][0]): Program {
  return program('kubelet', {
    config: join(folder, 'kubelet.yaml'),
    kubeconfig: join(cluster, 'pki', `${name}-client.yaml`),
    'root-dir': join(folder, 'kubelet'),
    'cert-dir': join(folder, 'kubelet/pki'),
    'hostname-override': name,
    'node-ip': address,
  })
}

function program(name: string, flags: Readonly<Record<string, string>>): Program {
  return { name, args: Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`) }
}
