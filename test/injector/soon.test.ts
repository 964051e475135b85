import assert from 'node:assert/strict'
import { test } from 'node:test'
import { soon } from '../../sidecar/injector/soon.ts'

test('one run at a time, and what is asked for meanwhile is done once after it', async () => {
  let runs = 0
  let together = 0
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const twice = Promise.withResolvers<void>()
  const one = soon({
    run: async () => {
      together++
      assert.equal(together, 1)
      const gate = gates[runs++]
      await gate?.promise
      together--
      if (runs === 2) twice.resolve()
      return 60_000
    },
    failed: (err) => assert.fail(String(err)),
  })
  for (let n = 0; n < 5; n++) one.now()
  gates[0]?.resolve()
  gates[1]?.resolve()
  await twice.promise
  await new Promise((done) => setImmediate(done))
  assert.equal(runs, 2)
  one.close()
})

test('a run that fails is told and tried again', async () => {
  const told: unknown[] = []
  const good = Promise.withResolvers<void>()
  const one = soon({
    run: async () => {
      if (told.length < 2) throw new Error(`no ${told.length}`)
      good.resolve()
      return 60_000
    },
    failed: (err) => told.push((err as Error).message),
  })
  one.now()
  const alive = setInterval(() => {}, 1_000)
  await good.promise
  clearInterval(alive)
  assert.deepEqual(told, ['no 0', 'no 1'])
  one.close()
})
