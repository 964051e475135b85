import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import { test } from 'node:test'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { issueLeaf, makeAuthority } from '../../../sidecar/injector/certificate/issue.ts'
import { certificatesIn, distrust } from '../../../sidecar/injector/certificate/trust.ts'

const host = 'outrider-injector.outrider.svc'
const hour = 3_600_000

test('a certificate is trusted by whom it should be, and otherwise it is said why not', async () => {
  const now = Date.now()
  const life = { now, lifeMs: hour }
  const [ours, others] = await Promise.all([makeAuthority(life), makeAuthority(life)])
  const chain = certificatesIn((await issueLeaf(ours, [host, '127.0.0.1', '::1'], life)).cert)
  const roots = certificatesIn(others.cert + ours.cert)
  assert.equal(distrust({ chain, host, now }, roots), undefined)
  assert.equal(distrust({ chain, host: '127.0.0.1', now }, roots), undefined)
  assert.equal(distrust({ chain, host: '::1', now }, roots), undefined)
  assert.match(distrust({ chain, host: 'elsewhere', now }, roots) ?? '', /is not for elsewhere/)
  assert.match(distrust({ chain, host: '127.0.0.2', now }, roots) ?? '', /is not for 127\.0\.0\.2/)
  assert.match(distrust({ chain, host, now: now + hour }, roots) ?? '', /is valid from .* to /)
  assert.match(distrust({ chain, host, now }, certificatesIn(others.cert)) ?? '', /none that signed/)
  assert.match(distrust({ chain, host, now }, []) ?? '', /caBundle is empty/)
  assert.match(distrust({ chain: [], host, now }, roots) ?? '', /there is no certificate/)
})

test('a chain of files leads to its root by way of what lies between', async () => {
  const now = Date.now()
  const life = { now, lifeMs: hour }
  const root = await makeAuthority(life)
  const leaf = await issueLeaf(root, [host], life)
  const [bare] = certificatesIn(leaf.cert)
  assert.ok(bare)
  const chain = certificatesIn(leaf.cert + root.cert)
  assert.equal(distrust({ chain, host, now }, certificatesIn(root.cert)), undefined)
  assert.equal(distrust({ chain: [bare], host, now }, [bare]), undefined)
})

test('text that is no certificate is passed over', async () => {
  const { cert } = await makeAuthority({ now: Date.now(), lifeMs: hour })
  const junk = '-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n'
  assert.equal(certificatesIn(`# a comment\n${junk}${cert}rest`).length, 1)
  assert.deepEqual(certificatesIn(''), [])
})

test('a TLS client accepts what was issued, by name and by address', async (t) => {
  const life = { now: Date.now(), lifeMs: hour }
  const ca = await makeAuthority(life)
  const server = createServer(await issueLeaf(ca, [host, '127.0.0.1'], life))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  for (const servername of [host, '']) {
    const socket = connect({ host: '127.0.0.1', port, servername, ca: ca.cert })
    await once(socket, 'secureConnect')
    assert.equal(socket.authorized, true)
    socket.destroy()
  }
})
