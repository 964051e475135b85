import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { writeArchive } from './archive.ts'
import { canInstall, updateLists } from './debian.ts'
import { CannotBuild, run, said } from './said.ts'

export interface Base {
  readonly name: string
  readonly archive: string
}

export interface Bases {
  readonly build: Base
  readonly final: Base
}

/** The npm of the build stage: one version with its checksum, so that the machine's own does not matter. */
const npm = {
  version: '11.19.1',
  integrity: 'sha512-ztsxKxt/kkIaAs+2i0GU6I+DRmUdrNasxTZKJe9TCdSjKxlhah/4r/hl5ygMD6XAg1qZ9c2TNomR4qgOydp10g==',
}

const buildPackages = ['busybox-static', 'binutils', 'libstdc++6', 'libatomic1']
/** By name, without what apt thinks they need: ca-certificates would bring Perl. */
const finalPackages = ['base-files', 'ca-certificates', 'libc6', 'libgcc-s1', 'libstdc++6']
/** Holds the licence of the last two; its name has a version in it. */
const licencePackage = (): readonly string[] => said('apt-cache', ['depends', 'libgcc-s1'])?.match(/gcc-[\d.]+-base/) ?? []

/** To be raised with every change of what this file makes of the packages. */
const edition = 2

/** Makes both bases of the Dockerfile from Debian packages, npm and the Node that runs this; or takes those of the last time from `cache`. */
export async function localBases(cache: string): Promise<Bases> {
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'work-'))
  try {
    const apt = ['-o', 'Debug::NoLocking=1', '-o', `Dir::Cache::archives=${work}/debs`, '-o', 'APT::Sandbox::User=root']
    const withNeeds = ['-o', 'Dir::State::status=/dev/null', '--no-install-recommends', '-y']
    mkdirSync(join(work, 'debs/partial'), { recursive: true })
    const uris = [
      ...apt,
      ...withNeeds,
      '--print-uris',
      'install',
      ...buildPackages,
      ...finalPackages.filter((name) => name !== 'ca-certificates'),
    ]
    const listed = listedBy(['-q', ...uris])
    const certificates = said('apt-cache', ['policy', 'ca-certificates']) ?? ''
    const key = createHash('sha256')
      .update(JSON.stringify([edition, filesOf(listed), certificates.match(/Candidate: .*/)?.[0], npm, process.version, process.arch]))
      .digest('hex')
      .slice(0, 16)
    const base = (kind: string): Base => ({ name: `localhost/outrider-${kind}:${key}`, archive: join(cache, `${kind}-${key}.tar`) })
    const bases: Bases = { build: base('build'), final: base('base') }
    if (existsSync(bases.build.archive) && existsSync(bases.final.archive)) return bases
    forgetOld(cache)
    run('apt-get', ['-q', ...apt, ...withNeeds, '--download-only', 'install', ...buildPackages])
    const buildDebs = debsIn(join(work, 'debs'))
    mkdirSync(join(work, 'final'))
    run('apt-get', ['-q', ...apt, 'download', ...finalPackages, ...licencePackage()], { cwd: join(work, 'final') })
    const architecture = said('dpkg', ['--print-architecture']) ?? 'amd64'
    await writeArchive(buildRoot(work, buildDebs), bases.build.archive, bases.build.name, {
      architecture,
      env: ['PATH=/usr/bin'],
      user: '0',
    })
    await writeArchive(finalRoot(work, debsIn(join(work, 'final'))), bases.final.archive, bases.final.name, {
      architecture,
      env: ['PATH=/usr/bin'],
      user: '65532',
    })
    return bases
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Bases of other versions; not those that a build beside this one may be about to read. */
function forgetOld(cache: string): void {
  for (const name of readdirSync(cache)) {
    const file = join(cache, name)
    if (name.endsWith('.tar') && Date.now() - statSync(file).mtimeMs > 86_400_000) rmSync(file, { force: true })
  }
}

/** A fresh machine has no lists yet. */
function listedBy(args: readonly string[]): string {
  const listed = said('apt-get', args)
  if (listed !== null) return listed
  if (canInstall()) updateLists()
  const again = said('apt-get', args)
  if (again === null)
    throw new CannotBuild('apt-get knows no packages for the base of the image. Run apt-get update, as root, and try again.')
  return again
}

/** The file names that apt would fetch, which carry the versions. */
const filesOf = (uris: string): readonly string[] => [...uris.matchAll(/^'[^']*' (\S+)/gm)].map(([, file = '']) => file).toSorted()

const debsIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.deb'))
    .toSorted()
    .map((name) => join(folder, name))

function emptyRoot(work: string, name: string): string {
  const root = join(work, name)
  for (const folder of [
    'usr/bin',
    'usr/sbin',
    'usr/lib',
    'usr/lib64',
    'etc',
    'root',
    'tmp',
    'var/lib/dpkg/status.d',
    'proc',
    'sys',
    'dev',
    'run',
  ])
    mkdirSync(join(root, folder), { recursive: true })
  // As in every Debian of today: packages may write to either place.
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${folder}`, join(root, folder))
  chmodSync(join(root, 'tmp'), 0o1777)
  return root
}

function unpack(deb: string, root: string): void {
  run('sh', ['-c', 'set -e; dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"', 'sh', deb, root])
}

/** Node, npm, strip and a shell. */
function buildRoot(work: string, debs: readonly string[]): string {
  const root = emptyRoot(work, 'buildRoot')
  for (const deb of debs) unpack(deb, root)
  rmSync(join(root, 'usr/share'), { recursive: true, force: true })
  const busybox = ['bin/busybox', 'usr/bin/busybox'].map((path) => join(root, path)).find((path) => existsSync(path))
  if (busybox === undefined) throw new CannotBuild('the package busybox-static holds no busybox')
  for (const name of ['sh', 'env', 'ls', 'cat', 'mkdir', 'rm']) symlinkSync('busybox', join(root, 'usr/bin', name))
  copyFileSync(process.execPath, join(root, 'usr/bin/node'))
  const modules = join(root, 'usr/lib/node_modules')
  mkdirSync(modules, { recursive: true })
  run('npm', ['pack', `npm@${npm.version}`, '--pack-destination', work])
  const tarball = join(work, `npm-${npm.version}.tgz`)
  const integrity = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`
  if (integrity !== npm.integrity) throw new CannotBuild(`npm ${npm.version} has the checksum ${integrity} instead of ${npm.integrity}.`)
  run('tar', ['-C', modules, '-xzf', tarball])
  run('mv', [join(modules, 'package'), join(modules, 'npm')])
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/bin/npm'))
  chmodSync(join(modules, 'npm/bin/npm-cli.js'), 0o755)
  writePeople(root)
  return root
}

/** The C and C++ libraries, roots of trust, names of users; nothing that can be run. */
function finalRoot(work: string, debs: readonly string[]): string {
  const root = emptyRoot(work, 'finalRoot')
  for (const deb of debs) {
    unpack(deb, root)
    // Where scanners look in an image that has no package manager.
    const control = said('dpkg-deb', ['-f', deb]) ?? ''
    writeFileSync(join(root, 'var/lib/dpkg/status.d', control.match(/^Package: (\S+)/m)?.[1] ?? 'unknown'), `${control}\n`)
  }
  const certificates = join(root, 'usr/share/ca-certificates/mozilla')
  const roots = readdirSync(certificates).toSorted()
  mkdirSync(join(root, 'etc/ssl/certs'), { recursive: true })
  writeFileSync(
    join(root, 'etc/ssl/certs/ca-certificates.crt'),
    roots.map((name) => readFileSync(join(certificates, name), 'utf8')).join(''),
  )
  forget(root)
  writePeople(root)
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  return root
}

/** Leaves the libraries, what names the system, and whose each file is. */
function forget(root: string): void {
  const keep: Readonly<Record<string, readonly string[]>> = {
    '': ['bin', 'dev', 'etc', 'lib', 'lib64', 'proc', 'run', 'sbin', 'sys', 'tmp', 'usr', 'var'],
    etc: ['debian_version', 'os-release', 'ssl'],
    usr: ['bin', 'lib', 'lib64', 'sbin', 'share'],
    'usr/bin': [],
    'usr/sbin': [],
    'usr/share': ['doc'],
    var: ['lib'],
  }
  for (const [folder, names] of Object.entries(keep)) {
    for (const name of readdirSync(join(root, folder))) if (!names.includes(name)) rmSync(join(root, folder, name), { recursive: true })
  }
  const documents = join(root, 'usr/share/doc')
  for (const name of readdirSync(documents)) {
    const document = join(documents, name)
    if (!lstatSync(document).isDirectory()) continue
    for (const file of readdirSync(document)) if (file !== 'copyright') rmSync(join(document, file), { recursive: true })
  }
  for (const name of readdirSync(join(root, 'usr/lib'), { recursive: true, encoding: 'utf8' })) {
    // Tables for the character sets of the past, and what watches a program at work.
    if (/(^|\/)(gconv|audit)$/.test(name)) rmSync(join(root, 'usr/lib', name), { recursive: true, force: true })
  }
}

function writePeople(root: string): void {
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n')
}
