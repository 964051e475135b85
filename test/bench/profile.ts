import { readdirSync, readFileSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Lab, type Served, serveOne } from './lab.ts'
import type { Workload } from './options.ts'
import type { Peer } from './peers/peer.ts'

/** The part of V8's format that is read here. Lines and columns count from 0. */
type Frame = { readonly functionName: string; readonly url: string; readonly lineNumber: number; readonly columnNumber: number }
type CpuProfile = {
  readonly nodes: readonly { readonly id: number; readonly callFrame: Frame }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const root = join(import.meta.dirname, '../..')
const profileMs = 8_000
const shownFunctions = 40
const shownFiles = 15

/** Where the time of a call or a chunk goes: functions by the time spent in themselves, under the load of each workload asked for. */
export async function profile(lab: Lab, workloads: readonly Workload[]): Promise<string> {
  const parts: string[] = []
  for (const peer of lab.peers) {
    if (!peer.ours) continue
    for (const workload of workloads) {
      if (workload !== 'json' && workload !== 'streams') continue
      lab.say(`profile of ${peer.name}, ${workload} ...`)
      parts.push(`${peer.name}, ${workload}\n${await profileOne(lab, peer, workload)}`)
    }
  }
  return parts.join('\n')
}

async function profileOne(lab: Lab, peer: Peer, workload: 'json' | 'streams'): Promise<string> {
  const dir = join(lab.dir, `profile-${peer.name}-${workload}`)
  // The profile is written when the program ends by itself, as it does on SIGTERM.
  // The profiler's own thread needs another core: on the same one it wakes when the short work on a chunk is over, and sees only idleness.
  const flags = ['--cpu-prof', '--cpu-prof-interval=250', `--cpu-prof-dir=${dir}`]
  const served = await serveOne(lab, peer, lab.upstreams.plain, { flags, cores: lab.cores.all })
  await press(lab, served, workload)
  await served.stop()
  const [name] = readdirSync(dir)
  if (name === undefined) throw new Error('the program wrote no profile: did it not end on SIGTERM?')
  return summary(JSON.parse(readFileSync(join(dir, name), 'utf8')) as CpuProfile)
}

async function press(lab: Lab, { target }: Served, workload: 'json' | 'streams'): Promise<void> {
  if (workload === 'json') {
    await lab.load.order({ do: 'closed', target, connections: 32, ms: profileMs })
    return
  }
  await lab.load.order({ do: 'open', target, streams: 100, events: 1_000_000, everyMs: 20 })
  await sleep(profileMs)
  await lab.load.order({ do: 'close' })
}

function summary({ nodes, samples, timeDeltas }: CpuProfile): string {
  const frames = new Map(nodes.map((node) => [node.id, node.callFrame]))
  const origin = origins()
  const functions = new Map<string, number>()
  const files = new Map<string, number>()
  let busy = 0
  for (const [at, id] of samples.entries()) {
    const frame = frames.get(id)
    const us = timeDeltas[at] ?? 0
    if (frame === undefined || frame.functionName === '(idle)') continue
    const { file, line } = origin(frame)
    busy += us
    add(functions, `${frame.functionName || '(anonymous)'}  ${file}${line > 0 ? `:${line}` : ''}`, us)
    add(files, file || frame.functionName, us)
  }
  return `${ranking(functions, busy, shownFunctions)}\n  by file\n${ranking(files, busy, shownFiles)}\n`
}

function ranking(times: ReadonlyMap<string, number>, total: number, count: number): string {
  const first = [...times].toSorted(([, a], [, b]) => b - a).slice(0, count)
  return first.map(([name, us]) => `  ${((us * 100) / total).toFixed(1).padStart(5)} %  ${name}`).join('\n')
}

function add(times: Map<string, number>, key: string, us: number): void {
  times.set(key, (times.get(key) ?? 0) + us)
}

/** Finds the source of a place in the bundle: the maps lie beside it, and nothing in it points to them. */
function origins(): (frame: Frame) => { file: string; line: number } {
  const maps = new Map<string, SourceMap | null>()
  return ({ url, lineNumber, columnNumber }) => {
    if (!url.startsWith('file:')) return { file: url, line: 0 }
    const file = fileURLToPath(url)
    const map = maps.get(file) ?? sourceMap(file)
    maps.set(file, map)
    const entry = map?.findEntry(lineNumber, columnNumber)
    if (!entry || !('originalSource' in entry)) return { file: relative(root, file), line: lineNumber + 1 }
    return { file: relative(root, join(file, '..', entry.originalSource)), line: entry.originalLine + 1 }
  }
}

function sourceMap(file: string): SourceMap | null {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')) as SourceMapPayload)
  } catch {
    return null
  }
}
