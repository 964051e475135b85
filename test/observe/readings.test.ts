import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { readings, type Readings } from '../../sidecar/observe/readings.ts'
import { exposition } from '../../sidecar/observe/tallies.ts'
import { parseExposition } from './exposition.ts'

const sources: Readings = {
  now: () => 0,
  inFlight: () => 0,
  heldBytes: () => 0,
  connections: () => ({ open: 0, busy: 0, waiting: 0 }),
  webSockets: () => 0,
  droppedLines: () => 0,
  pins: () => 0,
  config: () => ({ hash: '', loadedMs: 0, reloads: {} }),
  isNamedModel: () => false,
  canaries: () => [],
  upstreamStates: () => [],
}

const all = exposition(() => 0)
readings(all, sources, () => 0)

/** What a scrape says now; `meanwhile` runs as soon as it has been asked for. */
async function scraped(name: string, label = '', meanwhile = (): void => {}): Promise<number> {
  const asked = all.text('prometheus')
  meanwhile()
  const found = parseExposition(await asked).find((one) => one.name === name && Object.values(one.labels).join() === label)
  assert.ok(found, name)
  return found.value
}

test('every open socket is told, until it is closed', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const before = await scraped('outrider_sockets')
  const accepted = once(server, 'connection')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => client.destroy())
  const [other] = (await accepted) as [typeof client]
  t.after(() => other.destroy())
  assert.equal(await scraped('outrider_sockets'), before + 2, 'both ends are in this process')
  const closed = Promise.all([once(client, 'close'), once(other, 'close')])
  client.destroy()
  other.destroy()
  await closed
  assert.equal(await scraped('outrider_sockets'), before)
})

test('the lag of the event loop is the time for which it did nothing else', async () => {
  const blocked = (): void => {
    for (const until = performance.now() + 60; performance.now() < until;);
  }
  const lag = await scraped('outrider_event_loop_lag_seconds', '', blocked)
  assert.ok(lag >= 0.06 && lag < 60, `${lag} s`)
  assert.ok((await scraped('outrider_event_loop_busy_seconds_total')) > 0)
})

test('memory is told by its kind', async () => {
  const before = await scraped('outrider_memory_bytes', 'array_buffers')
  const held = Buffer.alloc(32 << 20, 1)
  assert.ok((await scraped('outrider_memory_bytes', 'array_buffers')) >= before + held.length)
  const used = await scraped('outrider_memory_bytes', 'heap_used')
  assert.ok(used > 1 << 20 && used < (await scraped('process_resident_memory_bytes')))
  assert.ok((await scraped('outrider_memory_bytes', 'heap_total')) > 1 << 20)
})
