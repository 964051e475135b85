import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareVersions, versionPattern } from '../../sidecar/config/semanticVersion.ts'

test('versions have the order that semver.org gives them', () => {
  const rising = [
    '0.0.1',
    '0.2.0',
    '0.10.0',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1-0',
    '2.0.0',
    '10.0.0',
    `${'9'.repeat(30)}.0.0`,
  ]
  for (const [index, one] of rising.entries()) {
    for (const [at, other] of rising.entries()) {
      assert.equal(Math.sign(compareVersions(one, other)), Math.sign(index - at), `${one} and ${other}`)
    }
  }
})

test('build metadata says nothing about the order', () => {
  assert.equal(compareVersions('1.0.0+one', '1.0.0+two'), 0)
})

test('what is no semantic version is told', () => {
  for (const text of ['1', '1.0', 'v1.0.0', '1.0.0.0', '01.0.0', '1.0.0-', '1.0.0-01', '1.0.0+', ' 1.0.0', '', 'latest']) {
    assert.doesNotMatch(text, versionPattern)
  }
})

test('the order is one: turned round, it is turned round', () => {
  const version = fc
    .tuple(fc.nat(12), fc.nat(12), fc.nat(12), fc.constantFrom('', '-a', '-1', '-10', '-a.1', '-a.b', '-2.a', '-a-b'))
    .map(([major, minor, patch, tail]) => `${major}.${minor}.${patch}${tail}`)
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)), 0)
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert(compareVersions(a, c) <= 0)
    }),
  )
})
