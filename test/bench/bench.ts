import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { claimMachine, leaveMachine } from './alone.ts'
import { type Cores, divideCores } from './cores.ts'
import type { Figure } from './figures.ts'
import type { Lab } from './lab.ts'
import { startLoad } from './load/load.ts'
import { help, type Options, readOptions, usage, type Workload } from './options.ts'
import { bare } from './peers/bare.ts'
import { direct } from './peers/direct.ts'
import { envoy } from './peers/envoy.ts'
import { nginx } from './peers/nginx.ts'
import { outrider, outriderOfThree } from './peers/outrider.ts'
import type { Availability, Peer } from './peers/peer.ts'
import { portkey } from './peers/portkey.ts'
import { killAll } from './processes.ts'
import { profile } from './profile.ts'
import { tables, verdicts } from './report.ts'
import { judge } from './targets.ts'
import { startUpstreams } from './upstream/upstream.ts'
import { json } from './workloads/json.ts'
import { memories } from './workloads/memory.ts'
import { fixedRates } from './workloads/rate.ts'
import { starts } from './workloads/start.ts'
import { chunks } from './workloads/streams.ts'

const everyone: readonly Peer[] = [direct, nginx, envoy, bare, outrider, outriderOfThree, portkey]
const resultFile = join(import.meta.dirname, '../../.bench/result.json')
const say = (text: string): void => void process.stderr.write(`${text}\n`)

const work: Readonly<Record<Workload, (lab: Lab) => Promise<void>>> = {
  json: (lab) => json(lab, 'json', lab.upstreams.plain),
  streams: (lab) => chunks(lab, 'streams', lab.upstreams.plain),
  rate: (lab) => fixedRates(lab, 'rate', lab.upstreams.plain),
  tls: async (lab) => {
    await json(lab, 'json over TLS', lab.upstreams.secure)
    await chunks(lab, 'streams over TLS', lab.upstreams.secure)
    await fixedRates(lab, 'rate over TLS', lab.upstreams.secure)
  },
  memory: memories,
  start: starts,
}

const dir = mkdtempSync(join(tmpdir(), 'outrider-bench-'))
process.on('exit', () => {
  killAll()
  leaveMachine()
  rmSync(dir, { recursive: true, force: true })
})
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))

try {
  const args = process.argv.slice(2)
  if (args.includes('--help')) process.stdout.write(`${help}\n`)
  else await bench(readOptions(args))
} catch (err) {
  say(err instanceof Error ? `${err.message}\n${usage}` : String(err))
  process.exitCode = 1
}
// Whatever a broken run left behind must not keep the bench alive.
process.exit()

async function bench(options: Options): Promise<void> {
  if (process.platform !== 'linux') throw new Error('the bench reads /proc and binds processes to cores: it runs on Linux only')
  claimMachine()
  const cores = divideCores()
  const { peers, availability } = await gather(options)
  const upstreams = await startUpstreams(dir, cores.upstream)
  const load = await startLoad(cores.load)
  const figures: Figure[] = []
  const record: Lab['record'] = (workload, metric, peer, round, value) => void figures.push({ workload, metric, peer, round, value })
  const notes: string[] = []
  const note: Lab['note'] = (text) => {
    say(text)
    notes.push(text)
  }
  const lab: Lab = { peers, upstreams, load, cores, dir, effort: options.effort, flags: options.flags, record, note, say }
  if (options.profile) {
    process.stdout.write(await profile(lab, options.workloads))
  } else {
    for (const name of options.workloads) {
      say(`${name} ...`)
      await work[name](lab)
    }
    tell(figures, { availability, notes, cores, options })
  }
  await Promise.all([upstreams.stop(), load.stop()])
}

async function gather({ only }: Options): Promise<{ peers: Peer[]; availability: Record<string, Availability> }> {
  const unknown = only?.find((name) => !everyone.some((peer) => peer.name === name))
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there is ${everyone.map((peer) => peer.name).join(', ')}`)
  const peers: Peer[] = []
  const availability: Record<string, Availability> = {}
  // Without a proxy, nothing can be told about what one adds.
  for (const peer of everyone.filter(({ name }) => only === null || only.includes(name) || name === 'direct')) {
    const found = await peer.install()
    availability[peer.name] = found
    if ('missing' in found) say(`${peer.name} cannot be had: ${found.missing}`)
    else peers.push(peer)
  }
  return { peers, availability }
}

type Circumstances = {
  readonly availability: Readonly<Record<string, Availability>>
  readonly notes: readonly string[]
  readonly cores: Cores
  readonly options: Options
}

function tell(figures: readonly Figure[], { availability, notes, cores, options: { effort, flags } }: Circumstances): void {
  const [cpu] = cpus()
  const machine = { cpu: cpu?.model, cores: cpus().length, division: cores, node: process.versions.node, when: new Date().toISOString() }
  const targets = judge(figures)
  mkdirSync(join(resultFile, '..'), { recursive: true })
  writeFileSync(resultFile, JSON.stringify({ machine, effort, flags, peers: availability, notes, targets, figures }, null, 2))
  const known = Object.entries(availability).map(
    ([name, found]) => `${name}: ${'missing' in found ? `MISSING, ${found.missing}` : found.version}`,
  )
  process.stdout.write(`\n${machine.cpu}, ${machine.cores} cores, one for the proxy; medians over rounds\n`)
  process.stdout.write(`${[...known, ...new Set(notes)].map((line) => `  ${line}`).join('\n')}\n\n${tables(figures)}\n${verdicts(targets)}`)
}
