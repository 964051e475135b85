// `npm run cluster`: the cluster of the tests, for people.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { down } from './machine/down.ts'
import { loadImage } from './machine/images.ts'
import { kubectlEnv } from './machine/kubectl.ts'
import { entering } from './machine/node.ts'
import { obstacle } from './machine/obstacle.ts'
import { type Place, placeOf } from './machine/place.ts'
import { stateOf } from './machine/state.ts'
import { up } from './machine/up.ts'

const usage = `npm run cluster -- up [--nodes N] [--kubernetes 1.33]
                                    starts it, in place of the one that runs; builds what it needs at the first time
npm run cluster down                ends it, without a trace
npm run cluster kubectl …           kubectl as its admin; put -- before the first option
npm run cluster shell               a shell in its network, with kubectl on the PATH: curl reaches Services and pods
npm run cluster load FILE…          gives its nodes the image of an archive
The name "default" is used unless CLUSTER says another: clusters of several names run side by side.`

const [command = '', ...rest] = process.argv.slice(2)
const name = process.env['CLUSTER'] ?? 'default'

const commands: Readonly<Record<string, () => Promise<number>>> = {
  up: async () => {
    const { values } = parseArgs({ args: rest, options: { nodes: { type: 'string', default: '2' }, kubernetes: { type: 'string' } } })
    const nodes = Number(values.nodes)
    if (!(nodes >= 1 && nodes <= 9)) throw new Error(`--nodes is a number from 1 to 9, not ${values.nodes}`)
    const { kubernetes } = await up(placeOf(name, nodes), 'until down', values.kubernetes)
    console.log(`Kubernetes ${kubernetes} is up. Now: npm run cluster kubectl get pods -- -A`)
    return 0
  },
  down: async () => {
    await down(placeOf(name))
    return 0
  },
  kubectl: () => inside('kubectl', rest),
  shell: () => inside(process.env['SHELL'] ?? 'bash', rest),
  load: async () => {
    const place = running()
    for (const file of rest) await loadImage(place, stateOf(place), file)
    return 0
  },
}

try {
  const words = obstacle()
  if (words !== undefined) throw new Error(words)
  process.exitCode = await (commands[command] ?? complain)()
} catch (err) {
  console.error(err instanceof Error ? err.message : err)
  process.exitCode = 1
}

function running(): Place {
  const place = placeOf(name)
  return placeOf(name, stateOf(place).nodes.length)
}

/** Runs a program in the cluster's network, and is as it ends. */
function inside(program: string, args: readonly string[]): Promise<number> {
  const place = running()
  const { nodes, programs } = stateOf(place)
  const env = { ...process.env, ...kubectlEnv(place), PATH: `${programs}:${process.env['PATH'] ?? ''}` }
  const file = program === 'kubectl' ? join(programs, program) : program
  const child = spawn('nsenter', [...entering(nodes[0], 'network'), file, ...args], { stdio: 'inherit', env })
  return new Promise((resolve) => {
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

async function complain(): Promise<number> {
  console.error(usage)
  return 2
}
