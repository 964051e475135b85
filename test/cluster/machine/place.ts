import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { cacheFolder } from './cache.ts'

// Private addresses of networks that exist in namespaces of our own only, so they can clash with nothing.
export const serviceRange = '10.96.0.0/16'
export const apiService = '10.96.0.1'
export const dnsService = '10.96.0.10'
export const podRange = '10.244.0.0/16'

export type Node = {
  readonly name: string
  readonly address: string
  readonly podRange: string
  readonly folder: string
  /** Under every hierarchy of /sys/fs/cgroup. */
  readonly cgroup: string
}

export type Place = {
  readonly folder: string
  readonly cgroup: string
  readonly nodes: readonly [Node, ...Node[]]
  readonly apiServer: string
  readonly adminConfig: string
}

/** Where a cluster of this name is and what its parts are called. Sockets in it have paths of at most 107 bytes, so it is short. */
export function placeOf(name: string, nodeCount = 2): Place {
  const folder = join(cacheFolder, 'run', name)
  const cgroup = `outrider-${createHash('sha256').update(folder).digest('hex').slice(0, 8)}`
  const node = (index: number): Node => {
    const nodeName = `node-${index}`
    return {
      name: nodeName,
      address: `10.97.0.${index}`,
      podRange: `10.244.${index}.0/24`,
      folder: join(folder, nodeName),
      cgroup: `${cgroup}/${nodeName}`,
    }
  }
  const others = Array.from({ length: nodeCount - 1 }, (_, index) => node(index + 2))
  const first = node(1)
  return {
    folder,
    cgroup,
    nodes: [first, ...others],
    apiServer: `https://${first.address}:6443`,
    adminConfig: join(folder, 'pki/admin.yaml'),
  }
}
