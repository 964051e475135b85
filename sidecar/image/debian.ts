import { CannotBuild, run, said } from './said.ts'

/** Whether packages can be had here by us: a Debian or what descends from it, and root. */
export const canInstall = (): boolean => process.getuid?.() === 0 && said('apt-get', ['--version']) !== null

/** Says so, and installs. */
export function installPackages(names: readonly string[], why: string): void {
  if (!canInstall()) throw new CannotBuild(`${why} needs what is missing here: apt-get install ${names.join(' ')}, as root.`)
  process.stdout.write(`${why} needs what is missing here: installing ${names.join(' ')}\n`)
  updateLists()
  run('env', ['DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '-y', '-q', '--no-install-recommends', ...names])
}

export function updateLists(): void {
  run('apt-get', ['-q', 'update'])
}
