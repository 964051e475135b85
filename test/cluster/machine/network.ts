import { entering } from './node.ts'
import { type Place, serviceRange } from './place.ts'
import type { Process } from './process.ts'
import { run } from './run.ts'

/**
 * Joins the nodes: the first one has a pair of interfaces with each of the others, as a machine has a cable. There is no way out: what is not of
 * the cluster is refused at once.
 */
export async function joinNodes(place: Place, processes: readonly Process[]): Promise<void> {
  const [first, ...others] = place.nodes
  const [holder, ...rest] = processes
  if (holder === undefined) return
  const commands = [...home(first.address, first.address)]
  for (const [index, { name, address, podRange }] of others.entries()) {
    commands.push(`link add ${name} type veth peer name uplink netns ${rest[index]?.pid}`, `link set ${name} up`)
    commands.push(`route add ${address}/32 dev ${name} src ${first.address}`, `route add ${podRange} via ${address} dev ${name} onlink`)
  }
  await inNetwork(holder, commands)
  for (const [index, { address }] of others.entries()) {
    const process_ = rest[index]
    if (process_ === undefined) continue
    const way = ['link set uplink up', `route add ${first.address}/32 dev uplink src ${address}`]
    const elsewhere = place.nodes.filter((node) => node.address !== address)
    // From one of the others to another they go through the first.
    const ways = elsewhere.flatMap((node) => [
      ...(node === first ? [] : [`route add ${node.address}/32 via ${first.address} dev uplink onlink src ${address}`]),
      `route add ${node.podRange} via ${first.address} dev uplink onlink src ${address}`,
    ])
    await inNetwork(process_, [...home(address, address), ...way, ...ways])
  }
}

/**
 * The node's own address, on an interface that is up without anything else. A connection to a Service needs some route before kube-proxy's rules
 * see its first packet and send it elsewhere.
 */
function home(address: string, source: string): readonly string[] {
  return [
    'link add home type veth peer name homeless',
    `addr add ${address}/32 dev home`,
    'link set home up',
    'link set homeless up',
    `route add ${serviceRange} dev home src ${source}`,
    'route add unreachable default',
  ]
}

function inNetwork(process_: Process, commands: readonly string[]): Promise<string> {
  return run('nsenter', [...entering(process_, 'network'), 'ip', '-batch', '-'], { input: `${commands.join('\n')}\n` })
}
