interface Locked {
  readonly name?: string
  readonly version?: string
  readonly integrity?: string
  readonly license?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly optional?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

interface Lock {
  readonly packages: Readonly<Record<string, Locked>>
}

const runtimeOf = (arch: string): string => `node-linux-${arch}`

/**
 * What is in the image beyond its base, in CycloneDX 1.6, read off the lock file: the packages of the bundle and Node. No time and no random
 * number is in it, so that two builds of one commit agree; and it does not depend on the npm that is at hand.
 */
export function sbom(lock: unknown, arch: string = process.arch): object {
  const self = (lock as Lock).packages['']
  if (self === undefined) throw new Error('package-lock.json has no entry for the project itself')
  const carried = carriedPackages(lock, arch)
  const refs = new Map(carried.map(([path, locked]) => [path, purl(path, locked)]))
  const dependsOn = (path: string, { dependencies = {}, optionalDependencies = {} }: Locked): string[] => {
    const found = Object.keys({ ...dependencies, ...optionalDependencies }).map((name) => resolved(path, name, refs))
    return [...new Set(found.filter((ref) => ref !== undefined))].toSorted()
  }
  const ref = `${self.name ?? 'outrider'}@${self.version ?? '0'}`
  const unique = new Map(carried.map(([path, locked]) => [refs.get(path) ?? path, [path, locked] as const]))
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: { type: 'application', 'bom-ref': ref, name: self.name, version: self.version, ...licenses(self) },
    },
    components: [...unique].map(([bomRef, [path, locked]]) => ({
      type: 'library',
      'bom-ref': bomRef,
      ...named(locked.name ?? nameOf(path)),
      version: locked.version,
      purl: bomRef,
      ...licenses(locked),
      ...hashes(locked),
      // Under this name the weaknesses of Node are published, not under that of the package that brings it.
      ...(nameOf(path) === runtimeOf(arch) && { cpe: `cpe:2.3:a:nodejs:node.js:${locked.version}:*:*:*:*:*:*:*` }),
    })),
    dependencies: [
      { ref, dependsOn: dependsOn('', self) },
      ...[...unique].map(([bomRef, [path, locked]]) => ({ ref: bomRef, dependsOn: dependsOn(path, locked) })),
    ],
  }
}

/** By their place: what the program needs to run, and Node for this kind of machine. */
export function carriedPackages(lock: unknown, arch: string = process.arch): (readonly [path: string, locked: Locked])[] {
  return Object.entries((lock as Lock).packages)
    .filter(([path, { dev, devOptional, optional }]) => {
      const isNeeded = path !== '' && dev !== true && devOptional !== true && optional !== true
      return isNeeded || nameOf(path) === runtimeOf(arch)
    })
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

function named(name: string): { group?: string; name: string } {
  const [group, rest] = name.split('/')
  return group === undefined || rest === undefined ? { name } : { group, name: rest }
}

const purl = (path: string, { name = nameOf(path), version }: Locked): string => `pkg:npm/${name.replace('@', '%40')}@${version}`

/** As Node looks for a package: in the folder itself, then in each one above. */
function resolved(from: string, name: string, refs: ReadonlyMap<string, string>): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const found = refs.get(`${folder === '' ? '' : `${folder}/`}node_modules/${name}`)
    if (found !== undefined || folder === '') return found
  }
}

function licenses({ license }: Locked): object {
  if (license === undefined) return {}
  return { licenses: [/[ (]/.test(license) ? { expression: license } : { license: { id: license } }] }
}

function hashes({ integrity }: Locked): object {
  const content = integrity?.match(/^sha512-(.+)$/)?.[1]
  return content === undefined ? {} : { hashes: [{ alg: 'SHA-512', content: Buffer.from(content, 'base64').toString('hex') }] }
}
