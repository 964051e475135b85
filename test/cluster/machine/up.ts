import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCgroups } from './cgroups.ts'
import { certificates } from './certificates.ts'
import { apiServer, controllers, etcd, kubelet, type Program } from './controlPlane.ts'
import { down } from './down.ts'
import { loadImage, pauseArchive } from './images.ts'
import { kubectlIn } from './kubectl.ts'
import { joinNodes } from './network.ts'
import { detached, entering, type Life, startNode } from './node.ts'
import { installMissing } from './packages.ts'
import { dnsService, type Node, type Place } from './place.ts'
import type { Process } from './process.ts'
import { programs } from './programs.ts'
import { pauseImage, writeSettings } from './settings.ts'
import { type State, writeState } from './state.ts'
import { until } from './until.ts'

const startingMs = 120_000

/** Starts a cluster, in place of the one that may still be there, and returns when its nodes are Ready and names resolve. */
export async function up(place: Place, life: Life, minor?: string): Promise<State> {
  await installMissing()
  const { folder: built, kubernetes } = await programs(minor)
  const pause = await pauseArchive(built)
  const say = clock()
  await down(place)
  mkdirSync(join(place.folder, 'pki'), { recursive: true, mode: 0o700 })
  for (const node of place.nodes) writeSettings(place, node)
  makeCgroups(place)
  const made = certificates(place)
  const nodes = await startNodes(place, life)
  const state: State = { kubernetes, programs: built, nodes }
  writeState(place, state)
  const start = starter(place, state)
  start(0, etcd(place))
  for (const index of nodes.keys())
    start(index, { name: 'containerd', args: ['--config', join(nodeOf(place, index).folder, 'containerd.toml')] })
  await made
  await joinNodes(place, nodes)
  say('namespaces and certificates')
  start(0, apiServer(place))
  const loaded = loadImage(place, state, pause)
  const kubectl = (args: readonly string[], input?: string) => kubectlIn(place, state, args, input)
  await until('the API server is ready', () => kubectl(['get', '--raw', '/readyz']).catch(() => undefined), startingMs)
  say('API server ready')
  for (const program of controllers(place)) start(0, program)
  for (const index of nodes.keys()) start(index, kubelet(place, nodeOf(place, index)))
  await kubectl(['apply', '--server-side', '-f', '-'], addons(place, built))
  // kube-proxy looks for its node when it starts, and sleeps for long if that is not there yet.
  const names = place.nodes.map(({ name }) => `node/${name}`)
  await kubectl(['wait', '--for=create', '--timeout=60s', ...names])
  for (const index of nodes.keys())
    start(index, { name: 'kube-proxy', args: ['--config', join(nodeOf(place, index).folder, 'proxy.yaml')] })
  await kubectl(['wait', '--for=condition=Ready', '--timeout=60s', ...names])
  say(`${names.length} nodes Ready`)
  await loaded
  await kubectl(['wait', '--for=condition=Available', '--timeout=90s', '-n', 'kube-system', 'deployment/coredns'])
  say('cluster DNS available')
  return state
}

async function startNodes({ nodes: [first, ...others] }: Place, life: Life): Promise<[Process, ...Process[]]> {
  const holder = await startNode(first, life)
  return [holder, ...(await Promise.all(others.map((node) => startNode(node, 'until down', holder))))]
}

function starter(place: Place, { programs: built, nodes }: State) {
  return (index: number, { name, args }: Program): void => {
    const process_ = nodes[index]
    if (process_ === undefined) throw new Error(`there is no node ${index}`)
    const log = join(nodeOf(place, index).folder, 'log', `${name}.log`)
    // The shim is looked for on the PATH.
    const path = `${built}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
    detached('nsenter', [...entering(process_, 'everything'), join(built, name), ...args], log, { PATH: path })
  }
}

function nodeOf(place: Place, index: number): Node {
  return place.nodes[index] ?? place.nodes[0]
}

function addons({ nodes: [first] }: Place, built: string): string {
  const facts = { PAUSE_IMAGE: pauseImage, PROGRAMS: built, DNS_SERVICE: dnsService, FIRST_NODE: first.name }
  const text = readFileSync(join(import.meta.dirname, '../addons.yaml'), 'utf8')
  return Object.entries(facts).reduce((yaml, [name, value]) => yaml.replaceAll(name, value), text)
}

function clock() {
  const began = performance.now()
  return (what: string) => console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s  ${what}`)
}
