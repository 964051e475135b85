import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Which core does what; the proxy has one to itself. */
export type Cores = { readonly proxy: string; readonly load: string; readonly upstream: string; readonly all: string }

/** Gives the last core to the proxy and the others to the load, the fake model and the bench itself. */
export function divideCores(): Cores {
  const all = allowed()
  const proxy = all.at(-1)
  const [first, second] = all
  if (proxy === undefined || first === undefined || second === undefined) throw new Error('the bench needs two cores')
  // With two cores load and fake model share one: both together cost less than the lightest proxy.
  const load = all.length > 2 ? second : first
  execFileSync('taskset', ['-a', '-c', '-p', all.slice(0, -1).join(','), String(process.pid)], { stdio: 'ignore' })
  return { proxy: String(proxy), load: String(load), upstream: String(first), all: all.join(',') }
}

/** The cores this process may use, from a list such as `0-3,6`. */
function allowed(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, n) => from + n)
  })
}
