import assert from 'node:assert/strict'
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import timers from 'node:timers/promises'
import { program, tempFile } from '../fixtures/runOutrider.ts'

const isRoot = process.platform === 'linux' && process.getuid?.() === 0
const needs = { skip: isRoot ? false : 'namespaces of processes need Linux and root' }

const config = (count: number): string => `
listen: { port: 0 }
admin: { host: 127.0.0.1, port: 0 }
control: { off: true }
drain: { idleExit: 0s, afterContainers: ${count} }
upstreams: [{ name: fake, url: 'http://127.0.0.1:9/v1' }]
`
const root = join(import.meta.dirname, '../..')
const namespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']

interface Pod {
  /** What a program is started by to be in the pod, in the container of the sidecar. */
  readonly inside: readonly string[]
  /** Starts one more container; the answer ends it. */
  readonly container: (name: string) => Promise<() => Promise<void>>
}

/** A namespace of processes with one that holds it, as pods have that share theirs; each container has a cgroup. */
async function sharedPod(t: TestContext): Promise<Pod> {
  const holder = spawn(namespace[0] ?? '', [...namespace.slice(1), 'cat'], { stdio: 'pipe' })
  const folders: string[] = []
  const running: ChildProcessWithoutNullStreams[] = []
  t.after(async () => {
    holder.kill('SIGKILL')
    for (const one of [holder, ...running]) if (one.exitCode === null && one.signalCode === null) await once(one, 'exit')
    for (const folder of folders) await removed(folder)
  })
  await answers(holder)
  const pid = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim()
  const inside = ['nsenter', '--target', pid, '--pid', '--mount', '--']
  const hierarchy = ['/sys/fs/cgroup', '/sys/fs/cgroup/pids'].find((one) => existsSync(join(one, 'cgroup.procs'))) ?? ''
  const container = async (name: string) => {
    const folder = join(hierarchy, `outrider-test-${process.pid}-${name}`)
    mkdirSync(folder)
    folders.push(folder)
    const one = spawn('sh', ['-c', `echo $$ > ${folder}/cgroup.procs && exec "$@"`, 'sh', ...inside, 'cat'], { stdio: 'pipe' })
    running.push(one)
    await answers(one)
    return async () => {
      one.stdin.end()
      await once(one, 'exit')
    }
  }
  return { inside, container }
}

/** Until `cat` runs and nothing before it. */
async function answers(child: ChildProcessWithoutNullStreams): Promise<void> {
  child.stdin.write('there\n')
  await once(child.stdout, 'data')
}

/** The kernel lets go of a cgroup a moment after its last process. */
async function removed(folder: string): Promise<void> {
  for (let turn = 0; ; turn++) {
    try {
      rmdirSync(folder)
      return
    } catch (err) {
      if (turn === 100) throw err
      await timers.setTimeout(20)
    }
  }
}

test(
  'where a pod shares its processes, the sidecar ends by itself after all other containers, and not before all have been there',
  needs,
  async (t) => {
    const pod = await sharedPod(t)
    const file = tempFile(t, 'outrider.yaml', config(2))
    const inPod = (args: readonly string[]) => [...pod.inside, process.execPath, join(root, 'sidecar/main.ts'), ...args]
    const outrider = program(t, ['proxy', '--config', file], { command: inPod })
    await outrider.printed(/listening on/)
    // Of its own container, as a probe may be that the kubelet runs there: it does not count.
    const probe = spawn(pod.inside[0] ?? '', [...pod.inside.slice(1), 'cat'], { stdio: 'pipe' })
    await answers(probe)
    const first = await pod.container('first')
    // It looks for the second one many times a second.
    await timers.setTimeout(300)
    await first()
    // Longer than it looks away: the image of the other one may still be on its way.
    assert.equal(await Promise.race([outrider.exit, timers.setTimeout(2_500, 'still there')]), 'still there')
    const second = await pod.container('second')
    assert.equal(await Promise.race([outrider.exit, timers.setTimeout(2_500, 'still there')]), 'still there')
    await second()
    assert.deepEqual(await outrider.exit, { code: 0, signal: null })
    assert.match(outrider.stdout(), /every other container of the pod has ended/)
    assert.equal(probe.exitCode, null)
    probe.stdin.end()
    await once(probe, 'exit')
  },
)

test('where a pod does not share its processes, the sidecar says that it cannot see their end, and serves', needs, async (t) => {
  const file = tempFile(t, 'outrider.yaml', config(1))
  const command = (args: readonly string[]) => [...namespace, process.execPath, join(root, 'sidecar/main.ts'), ...args]
  const outrider = program(t, ['proxy', '--config', file], { command })
  await outrider.printed(/drain\.afterContainers has no effect: the containers of this pod do not share their processes/)
  await outrider.printed(/listening on/)
})
