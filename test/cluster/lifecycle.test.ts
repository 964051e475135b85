import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { leftOf, machine, tracesOf } from './driver/traces.ts'
import { down } from './machine/down.ts'
import { placeOf } from './machine/place.ts'
import { isAlive } from './machine/process.ts'
import { run } from './machine/run.ts'
import { stateOf } from './machine/state.ts'
import { until } from './machine/until.ts'

const goneMs = 20_000
const place = placeOf('second')
const env = { CLUSTER: 'second' }

test('a cluster is gone after down, with its processes, mounts, cgroups and files; the machine is as it was', async (t) => {
  t.after(() => down(place))
  const before = machine()
  await cluster('up')
  const traces = tracesOf(place)
  // Both nodes, each with a first process of its own, and what runs in them.
  assert.ok(traces.processes.length > 20, `${traces.processes.length} processes`)
  assert.ok(traces.networks.length >= 2)
  assert.notDeepEqual(leftOf(place, traces), [])
  await cluster('down')
  await until('those who started its programs have ended', () => !traces.processes.some(isAlive), goneMs)
  assert.deepEqual(leftOf(place, traces), [])
  assert.ok(!existsSync(place.folder))
  assert.deepEqual(machine(), before)
})

test('a cluster ends with the test run that is killed, and the next one starts in its place', async (t) => {
  t.after(() => down(place))
  const before = machine()
  const holder = spawn(process.execPath, [join(import.meta.dirname, 'driver/holdCluster.ts')], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => holder.kill('SIGKILL'))
  for await (const line of createInterface({ input: holder.stdout })) if (line === 'holding') break
  const traces = tracesOf(place)
  assert.ok(traces.processes.length > 20, `${traces.processes.length} processes`)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await until('the cluster has ended with its holder', () => !traces.processes.some(isAlive), goneMs)
  // What the kernel does not take away by itself, the next start does.
  await cluster('up')
  assert.ok(isAlive(stateOf(place).nodes[0]))
  const second = tracesOf(place)
  await cluster('down')
  await until('those who started its programs have ended', () => !second.processes.some(isAlive), goneMs)
  assert.deepEqual([...leftOf(place, traces), ...leftOf(place, second)], [])
  assert.deepEqual(machine(), before)
})

async function cluster(command: 'up' | 'down'): Promise<void> {
  await run(process.execPath, [join(import.meta.dirname, 'main.ts'), command], { env })
}
