import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fingerprint } from '../../sidecar/proxy/llm/fingerprint.ts'
import { near } from '../../sidecar/proxy/upstream/affinity.ts'
import { candidate, type Counted } from './strategies/candidates.ts'

const load = 1.25
const homeOf = (key: string, members: readonly Counted[]): Counted | undefined => near(fingerprint(key), members, Infinity)
const nearby = (key: string, members: readonly Counted[]): Counted | undefined => near(fingerprint(key), members, load)

const keys = Array.from({ length: 20_000 }, (_, n) => `user-${n}`)
const homes = (members: readonly Counted[]): (string | undefined)[] => keys.map((key) => homeOf(key, members)?.name)
/** The order in which they would have a key: each the one that has it when those before it are gone. */
const order = (key: string, members: readonly Counted[]): string => {
  const home = homeOf(key, members)
  return home === undefined
    ? ''
    : home.name +
        order(
          key,
          members.filter((one) => one !== home),
        )
}
const three = [candidate('a', { weight: 2 }), candidate('b'), candidate('c')]

test('keys spread by weight', () => {
  const all = homes(three)
  for (const [name, share] of [
    ['a', 0.5],
    ['b', 0.25],
    ['c', 0.25],
  ] as const) {
    const part = all.filter((one) => one === name).length / keys.length
    assert.ok(Math.abs(part - share) < 0.015, `${name} has ${part}`)
  }
})

test('a key has the same home in every order and every sidecar', () => {
  assert.deepEqual(homes(three.toReversed()), homes(three))
  // Written down once: another number would move every key at an upgrade, and all caches would be cold.
  assert.deepEqual(
    ['x', 'y', 'z', ''].map((key) => order(key, three)),
    ['abc', 'acb', 'cba', 'acb'],
  )
})

test('when one goes only its own keys move, and when it comes back they return', () => {
  const before = homes(three)
  const after = homes(three.filter(({ name }) => name !== 'b'))
  for (const [at, home] of before.entries()) if (home !== 'b') assert.equal(after[at], home)
  assert.ok(!after.includes('b'))
})

test('one that has just come back gets its own keys back little by little, and no others move', () => {
  const before = homes(three)
  const half = homes([three[0] ?? candidate('a'), candidate('b', { ease: 0.5 }), candidate('c')])
  let back = 0
  for (const [at, home] of before.entries()) {
    if (home !== 'b') assert.equal(half[at], home)
    else if (half[at] === 'b') back++
  }
  const share = back / before.filter((home) => home === 'b').length
  // Its weight is 0.5 of 3.5 now, and was 1 of 4.
  assert.ok(Math.abs(share - (0.5 / 3.5) * 4) < 0.03, String(share))
})

test('a key stays at home while that has room', () => {
  const members = [candidate('a'), candidate('b')]
  const home = homeOf('key', members)
  const other = members.find((one) => one !== home)
  assert.ok(home !== undefined && other !== undefined)
  assert.equal(nearby('key', members), home)
  home.inFlight = 10
  other.inFlight = 9
  assert.equal(nearby('key', members), home)
  home.inFlight = 13
  other.inFlight = 7
  assert.equal(nearby('key', members), home)
  home.inFlight = 14
  other.inFlight = 6
  assert.equal(nearby('key', members), other, '14 of 21 are more than 125 % of a half')
})

test('however the keys fall, nobody carries more than 125 % of its share and one call', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 6 })
  fc.assert(
    fc.property(weights, fc.array(fc.nat(3), { minLength: 1, maxLength: 200 }), (all, calls) => {
      const members = all.map((weight, n) => candidate(`u${n}`, { weight }))
      const sum = all.reduce((one, other) => one + other)
      for (const [at, key] of calls.entries()) {
        const chosen = nearby(String(key), members)
        const member = members.find((one) => one === chosen)
        assert.ok(member !== undefined)
        member.inFlight++
        assert.ok(member.inFlight <= Math.ceil((1.25 * (at + 1) * member.weight) / sum))
      }
    }),
    { numRuns: 500 },
  )
})

test("a weight of zero is nobody's home", () => {
  assert.ok(!homes([candidate('off', { weight: 0 }), candidate('on'), candidate('on too')]).includes('off'))
  assert.equal(nearby('key', []), undefined)
})
