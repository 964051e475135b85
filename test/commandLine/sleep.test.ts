import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { program } from '../fixtures/runOutrider.ts'

async function sleeping(t: TestContext, duration: string): Promise<number> {
  const began = performance.now()
  const running = program(t, ['sleep', duration])
  assert.deepEqual(await running.exit, { code: 0, signal: null })
  assert.equal(running.stdout() + running.stderr(), '')
  return performance.now() - began
}

test('sleep waits as long as told, then ends with 0', async (t) => {
  assert((await sleeping(t, '300ms')) >= 300)
  assert((await sleeping(t, '1')) >= 1000)
  await sleeping(t, '0s')
})

/** Prints once the program listens for SIGTERM: before that, the signal would end any program. */
const tellListening = `process.on('newListener', (name) => name === 'SIGTERM' && setImmediate(() => process.stdout.write('listens\\n')))`

test('SIGTERM ends it at once: a hook must not cost the grace of the pod', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const running = program(t, ['sleep', '24h'], { node: ['--import', `data:text/javascript,${encodeURIComponent(tellListening)}`] })
    await running.printed('listens')
    running.child.kill(signal)
    assert.deepEqual(await running.exit, { code: 0, signal: null })
  }
})
