import { lstatSync, readlinkSync } from 'node:fs'
import { join, parse, resolve, sep } from 'node:path'

/** As many as Linux follows. */
const mostLinks = 40

/** The folders in which a change can bring a path to other content: those that hold the links on its way, and the last one that is there. */
export function foldersTo(path: string): string[] {
  const folders = new Set<string>()
  const { root } = parse(resolve(path))
  const steps = stepsOf(resolve(path).slice(root.length))
  let at = root
  let links = 0
  for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
    const next = join(at, step)
    const target = targetOf(next)
    if (target !== '' || steps.length === 0) folders.add(at)
    if (target === undefined) break
    if (target === '') {
      at = next
      continue
    }
    if (++links > mostLinks) break
    const from = parse(target).root
    if (from !== '') at = from
    steps.unshift(...stepsOf(target.slice(from.length)))
  }
  return [...folders]
}

const stepsOf = (path: string): string[] => path.split(sep).filter((step) => step !== '' && step !== '.')

/** Empty for what is no link, undefined for what is not there. */
function targetOf(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : ''
  } catch {
    return undefined
  }
}
