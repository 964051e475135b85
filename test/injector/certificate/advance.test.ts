import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { advance, leafIsDue, nextMoment, type Leaf, type Lives } from '../../../sidecar/injector/certificate/advance.ts'
import { bundleOf, fromSecretData, toSecretData, type Authorities } from '../../../sidecar/injector/certificate/authorities.ts'
import { issueLeaf, makeAuthority } from '../../../sidecar/injector/certificate/issue.ts'
import { certificatesIn, distrust } from '../../../sidecar/injector/certificate/trust.ts'

const hour = 3_600_000
const day = 24 * hour
const lives: Lives = { authorityMs: 365 * day, leafMs: 7 * day, overlapMs: 60_000 }
const host = 'outrider-injector.outrider.svc'

/** Replicas that share a Secret and a webhook, with a clock that is turned by hand. Every admission that fails is noted. */
function cluster() {
  let now = Date.UTC(2026, 10, 21)
  let secret: Record<string, string> | undefined
  let bundle = new Map<string, number>()
  const failures: string[] = []

  const replica = () => {
    let leaf: Leaf | undefined
    let remembered: Authorities | undefined
    const standing = () => ({ now, lives, trustedSince: (cert: string) => bundle.get(cert), leaf, remembered })
    return {
      leaf: () => leaf,
      forget: () => {
        leaf = undefined
        remembered = undefined
      },
      run: async () => {
        const found = fromSecretData(secret)
        const wanted = await advance(found, standing())
        if (wanted !== found) secret = toSecretData(wanted)
        remembered = wanted
        if (leafIsDue(wanted, standing())) {
          const pair = await issueLeaf(wanted.signing, [host], { now, lifeMs: lives.leafMs })
          leaf = {
            ...pair,
            authority: wanted.signing.cert,
            fromMs: now,
            untilMs: new X509Certificate(pair.cert).validToDate.getTime(),
          }
        }
        const certs = certificatesIn(bundleOf(wanted)).map((cert) => `${String(cert).trim()}\n`)
        bundle = new Map(certs.map((cert) => [cert, bundle.get(cert) ?? now]))
        return nextMoment(wanted, standing())
      },
    }
  }
  const replicas = [replica(), replica(), replica()]
  const admit = (): void => {
    for (const [index, one] of replicas.entries()) {
      const shown = one.leaf()
      if (shown === undefined) continue
      const why = distrust({ chain: certificatesIn(shown.cert), host, now }, certificatesIn([...bundle.keys()].join('')))
      if (why !== undefined) failures.push(`${new Date(now).toISOString()} replica ${index}: ${why}`)
    }
  }
  return {
    replicas,
    failures,
    state: () => fromSecretData(secret),
    lose: () => (secret = undefined),
    put: (authorities: Authorities) => (secret = toSecretData(authorities)),
    now: () => now,
    pass: (ms: number) => (now += ms),
    /** Every replica in turn, with an admission after each; in another order each time. */
    round: async () => {
      for (const one of replicas) {
        await one.run()
        admit()
      }
      replicas.push(...replicas.splice(0, 1))
    },
  }
}

test('through two years of rotations no replica is ever distrusted, and each authority is followed by another in time', async () => {
  const lab = cluster()
  await lab.round()
  lab.failures.length = 0
  const seen = new Set<string>()
  for (let step = 0; step < 800; step++) {
    lab.pass(day)
    await lab.round()
    // A look is taken within the overlap as well, whenever there is something to wait for.
    lab.pass(61_000)
    await lab.round()
    seen.add(lab.state()?.signing.cert ?? '')
    assert.ok((lab.state()?.old.length ?? 0) <= 1)
  }
  assert.deepEqual(lab.failures, [])
  assert.equal(seen.size, 4)
})

test('a new authority signs only when all have trusted it for the whole overlap, and the old one is dropped after the last leaf of it could have ended', async () => {
  const lab = cluster()
  await lab.round()
  const first = lab.state()?.signing.cert ?? ''
  lab.pass(244 * day)
  await lab.round()
  const next = lab.state()?.next?.cert ?? ''
  assert.notEqual(next, '')
  assert.equal(lab.state()?.signing.cert, first)
  lab.pass(lives.overlapMs - 1)
  await lab.round()
  assert.equal(lab.state()?.signing.cert, first)
  lab.pass(1)
  await lab.round()
  assert.equal(lab.state()?.signing.cert, next)
  assert.deepEqual(
    lab.replicas.map((one) => one.leaf()?.authority),
    [next, next, next],
  )
  assert.equal(lab.state()?.old[0]?.cert, first)
  lab.pass(lives.leafMs)
  await lab.round()
  assert.equal(lab.state()?.old.length, 1)
  lab.pass(2 * 60_000)
  await lab.round()
  assert.deepEqual(lab.state()?.old, [])
})

test('a Secret that is deleted comes back with what is in use and the next authority, and nobody is distrusted meanwhile', async () => {
  const lab = cluster()
  await lab.round()
  lab.failures.length = 0
  const first = lab.state()?.signing.cert ?? ''
  lab.lose()
  await lab.round()
  assert.equal(lab.state()?.signing.cert, first)
  const next = lab.state()?.next?.cert
  lab.pass(lives.overlapMs)
  await lab.round()
  assert.equal(lab.state()?.signing.cert, next)
  assert.deepEqual(lab.failures, [])
})

test('a Secret that was replaced by one who knew nothing of us keeps our authority trusted until we have a leaf of the new one', async () => {
  const lab = cluster()
  await lab.round()
  lab.failures.length = 0
  const first = lab.state()?.signing.cert ?? ''
  const stranger = await makeAuthority({ now: lab.now(), lifeMs: lives.authorityMs })
  lab.put({ signing: stranger, old: [] })
  await lab.round()
  assert.equal(lab.state()?.old[0]?.cert, first)
  lab.pass(lives.overlapMs)
  await lab.round()
  assert.ok(lab.replicas.every((one) => one.leaf()?.authority === stranger.cert))
  assert.deepEqual(lab.failures, [])
})

test('an authority whose end was slept through is replaced at once', async () => {
  const lab = cluster()
  await lab.round()
  lab.pass(366 * day)
  await lab.round()
  lab.failures.length = 0
  await lab.round()
  assert.deepEqual(lab.failures, [])
  assert.deepEqual(lab.state()?.old, [])
})

test('a leaf is renewed at two thirds of its life and never outlives its authority', async () => {
  const lab = cluster()
  await lab.round()
  const [one] = lab.replicas
  const before = one?.leaf()
  lab.pass((lives.leafMs * 2) / 3 - 1)
  await lab.round()
  assert.ok(lab.replicas.some((replica) => replica.leaf() === before))
  lab.pass(2)
  await lab.round()
  assert.ok(lab.replicas.every((replica) => replica.leaf() !== before))

  const now = Date.now()
  const short = await makeAuthority({ now, lifeMs: hour })
  const leaf = new X509Certificate((await issueLeaf(short, [host], { now, lifeMs: day })).cert)
  assert.equal(leaf.validToDate.getTime(), new X509Certificate(short.cert).validToDate.getTime())
})

test('when nothing happens, the next moment is the first at which something is due', async () => {
  const now = Date.now()
  const signing = await makeAuthority({ now, lifeMs: 300 * day })
  const leaf: Leaf = { cert: '', key: '', authority: signing.cert, fromMs: now, untilMs: now + 3 * day }
  const standing = { now, lives, trustedSince: () => now, leaf, remembered: undefined }
  assert.equal(nextMoment({ signing, old: [] }, standing), now + 2 * day)
  assert.equal(nextMoment({ signing, old: [{ cert: signing.cert, untilMs: now + 5 }] }, standing), now + 5)
  assert.equal(nextMoment({ signing, next: signing, old: [] }, standing), now + lives.overlapMs)
})

test('what stands in a Secret is taken only if it is whole and key and certificate belong together', async () => {
  const now = Date.now()
  const [one, other] = await Promise.all([makeAuthority({ now, lifeMs: day }), makeAuthority({ now, lifeMs: day })])
  const good: Authorities = { signing: one, next: other, old: [{ cert: other.cert, untilMs: now }] }
  assert.deepEqual(fromSecretData(toSecretData(good)), good)
  const written = (value: unknown) => ({ 'authorities.json': Buffer.from(JSON.stringify(value)).toString('base64') })
  for (const bad of [
    undefined,
    {},
    { 'authorities.json': 'bm90IGpzb24=' },
    written({ signing: { cert: one.cert, key: other.key }, old: [] }),
    written({ signing: { cert: 'x', key: one.key }, old: [] }),
    written({ signing: one, old: [{ cert: 'x', untilMs: 1 }] }),
    written({ signing: one }),
  ]) {
    assert.equal(fromSecretData(bad), undefined)
  }
})
