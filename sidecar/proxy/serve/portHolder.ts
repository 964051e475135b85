import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Which program listens on a port of this machine, such as `nginx (process 7)`, as far as Linux shows it to us; undefined elsewhere. */
export function portHolder(port: number): string | undefined {
  try {
    const sockets = new Set(['tcp', 'tcp6'].flatMap((table) => listening(table, port)))
    if (sockets.size === 0) return undefined
    const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && holdsOne(name, sockets))
    return pid === undefined ? undefined : `${nameOf(pid)} (process ${pid})`
  } catch {
    return undefined
  }
}

const listenState = '0A'

/** The inodes of its sockets; columns as in https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.rst. */
function listening(table: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return lines(`/proc/net/${table}`).flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
    return local.endsWith(wanted) && state === listenState && inode !== undefined ? [`socket:[${inode}]`] : []
  })
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    // A machine without IPv6 has no table of it.
    return []
  }
}

/** The files of other users are not shown to us. */
function holdsOne(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => sockets.has(linkOf(`/proc/${pid}/fd/${fd}`)))
  } catch {
    return false
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** The first word of the command line; the short name that the kernel keeps is that of a thread, and says MainThread of every Node. */
function nameOf(pid: string): string {
  const [command = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  return (command.split('/').at(-1) ?? '').replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 40) || 'a program'
}
