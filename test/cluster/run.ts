// `npm run test:cluster`: builds what is missing, starts a cluster, runs the tests in its network and ends it.
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildImage } from '../../sidecar/image/image.ts'
import { appArchive } from './app/image.ts'
import { cacheFolder } from './machine/cache.ts'
import { down } from './machine/down.ts'
import { loadImage } from './machine/images.ts'
import { entering } from './machine/node.ts'
import { obstacle } from './machine/obstacle.ts'
import { installMissing } from './machine/packages.ts'
import { placeOf } from './machine/place.ts'
import { programs, tool } from './machine/programs.ts'
import type { State } from './machine/state.ts'
import { up } from './machine/up.ts'
import { sidecarImage } from './pods.ts'

const root = join(import.meta.dirname, '../..')
// Of its own, so that the cluster that somebody works with stays as it is.
const name = 'test'
const longestTestMs = 180_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { keep: { type: 'boolean', default: false }, only: { type: 'string' }, kubernetes: { type: 'string' } },
})

async function main(): Promise<void> {
  const words = obstacle()
  if (words !== undefined) throw new Error(words)
  const began = performance.now()
  const place = placeOf(name)
  const image = join(cacheFolder, 'outrider.tar')
  rmSync(join(root, '.cluster/failed'), { recursive: true, force: true })
  mkdirSync(cacheFolder, { recursive: true })
  await installMissing()
  await programs(values.kubernetes)
  await buildImage({ output: image, name: sidecarImage, cache: join(homedir(), '.cache/outrider/image') })
  const app = await appArchive()
  // The tests have no way out of the cluster's network.
  for (const one of ['prometheus', 'helm3', 'helm4'] as const) await tool(one)
  // Without --keep it ends with us, whatever ends us.
  const state = await up(place, values.keep ? 'until down' : 'with me', values.kubernetes)
  try {
    await Promise.all([image, app].map((file) => loadImage(place, state, file)))
    console.log(`ready after ${seconds(began)} s`)
    const { passed, failed } = await runTests(state)
    console.log(
      `cluster: ${passed} passed, ${failed} failed; Kubernetes ${state.kubernetes}, ${place.nodes.length} nodes, ${seconds(began)} s in all`,
    )
    process.exitCode = failed > 0 || passed === 0 ? 1 : 0
  } finally {
    if (!values.keep) await down(place)
  }
}

/** Runs the files that were named, or all, in the cluster's network: Services and pods are within their reach as they are on a node. */
async function runTests({ nodes: [first] }: State): Promise<{ passed: number; failed: number }> {
  const files = positionals.length > 0 ? positionals : [join(root, 'test/cluster/*.test.ts')]
  const options = ['--test', `--test-timeout=${longestTestMs}`, '--test-reporter=spec']
  const only = values.only === undefined ? [] : [`--test-name-pattern=${values.only}`]
  const child = spawn('nsenter', [...entering(first, 'network'), process.execPath, ...options, ...only, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CLUSTER: name },
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    said += text
  })
  await new Promise((resolve) => {
    child.once('close', resolve)
  })
  const count = (what: string): number => Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(said)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') + count('cancelled') }
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 1_000)
}

try {
  await main()
} catch (err) {
  console.error(err instanceof Error ? err.message : err)
  process.exitCode = 1
}
