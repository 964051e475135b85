/** A version as https://semver.org (2.0.0) writes it; the pattern is the one recommended there. */
export const versionPattern =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$/

/** Below zero when `one` goes before `other`, above zero when it comes after it. Both must match `versionPattern`; build metadata does not count. */
export function compareVersions(one: string, other: string): number {
  const [ones, others] = [parts(one), parts(other)]
  return compareLists(ones.core, others.core) || comparePrereleases(ones.prerelease, others.prerelease)
}

function parts(version: string): { core: readonly string[]; prerelease: readonly string[] } {
  const [, major = '', minor = '', patch = '', prerelease] = versionPattern.exec(version) ?? []
  return { core: [major, minor, patch], prerelease: prerelease === undefined ? [] : prerelease.split('.') }
}

/** A prerelease goes before its release, which is why nothing is more than something here. */
function comparePrereleases(ones: readonly string[], others: readonly string[]): number {
  if (ones.length === 0 || others.length === 0) return others.length - ones.length
  return compareLists(ones, others) || ones.length - others.length
}

function compareLists(ones: readonly string[], others: readonly string[]): number {
  for (const [index, one] of ones.entries()) {
    const other = others[index]
    if (other === undefined) return 0
    const difference = compareIdentifiers(one, other)
    if (difference !== 0) return difference
  }
  return 0
}

/** Numbers go before words. Compared as texts, for a build number may be longer than a number of ours is exact. */
function compareIdentifiers(one: string, other: string): number {
  const [number, otherNumber] = [isNumber(one), isNumber(other)]
  if (number !== otherNumber) return number ? -1 : 1
  if (number && one.length !== other.length) return one.length - other.length
  if (one === other) return 0
  return one < other ? -1 : 1
}

const isNumber = (identifier: string): boolean => /^\d+$/.test(identifier)
