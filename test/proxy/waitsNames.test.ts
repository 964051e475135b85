import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wheel } from '../../sidecar/proxy/clock.ts'
import type { SidecarError } from '../../sidecar/proxy/errors.ts'
import { connector } from '../../sidecar/proxy/upstream/connector.ts'
import type { Names } from '../../sidecar/proxy/upstream/names.ts'
import type { Place } from '../../sidecar/proxy/upstream/place.ts'

const silent: Names = { resolve: () => {}, forget: () => {} }
const place: Place = { host: 'model.example', port: 443, tls: undefined, addresses: undefined, egress: undefined }

test('a name server that never answers fails with connect_timeout', async () => {
  const clock = wheel()
  const { dial } = connector({ place, names: silent, clock, timeoutMs: 100, forUndici: false })
  // Nothing else keeps the process of the test alive: the clock does not.
  const alive = setInterval(() => {}, 1_000)
  const err = await new Promise<SidecarError | undefined>((done) => {
    dial(done)
  })
  clearInterval(alive)
  assert.equal(err?.kind, 'connect_timeout')
  assert.match(err.message, /model\.example:443 within 0\.1 s/)
  assert.equal(clock.pending(), 0)
})

test('a dial that is given up while its name is looked up says nothing more and leaves no alarm', () => {
  const clock = wheel()
  const { dial } = connector({ place, names: silent, clock, timeoutMs: 100, forUndici: false })
  const giveUp = dial(() => {
    assert.fail('nobody waits for this any more')
  })
  giveUp()
  assert.equal(clock.pending(), 0)
})
