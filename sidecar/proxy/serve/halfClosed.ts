import { open } from 'node:fs/promises'
import { endianness } from 'node:os'

interface Both {
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
}

type Ends = { readonly [End in keyof Both]?: Both[End] | undefined }

/** The kernel's tables of connections as text; undefined where there are none, or more than is worth reading. */
type Tables = () => Promise<string | undefined>

/**
 * Whether a client has closed although bytes of its own still stand in front of that: Node hears of a close only behind the last byte, but
 * Linux lists it. Elsewhere the answer is no.
 */
export async function halfClosed(ends: Ends, tables: Tables = tablesOfLinux): Promise<boolean> {
  const { localAddress, localPort, remoteAddress, remotePort } = ends
  if (localAddress === undefined || localPort === undefined) return false
  // A connection that was reset has no other end any more, unless Node was asked for it before.
  if (remoteAddress === undefined || remotePort === undefined) return true
  const both = { localAddress, localPort, remoteAddress, remotePort }
  const verdict = look(await tables(), both)
  // A table that changes while it is read may lack a row: what is missing must be missing twice.
  return verdict === 'missing' ? look(await tables(), both) === 'missing' : verdict === 'closed'
}

/** Ours, once the client's FIN has come. */
const closeWait = '08'
/** The client's, when it stands in the same network, as the app of a pod does: its FIN cannot come while our side of the kernel is full. */
const leaving = ['04', '05', '0B']

function look(table: string | undefined, { localAddress, localPort, remoteAddress, remotePort }: Both): 'open' | 'closed' | 'missing' {
  if (table === undefined) return 'open'
  const port = hex(localPort)
  let found = false
  for (const [here, there] of pairs(localAddress, remoteAddress)) {
    const ours = `${here}:${port}`
    const theirs = `${there}:${hex(remotePort)}`
    const state = stateOf(table, ours, theirs)
    if (state === closeWait || leaving.includes(stateOf(table, theirs, ours) ?? '')) return 'closed'
    found ||= state !== undefined
  }
  // A reset connection is listed no more. That says something only of a table in which our listener stands.
  return found || !new RegExp(`: [\\dA-F]+:${port} [\\dA-F]+:0000 0A `).test(table) ? 'open' : 'missing'
}

function stateOf(table: string, local: string, remote: string): string | undefined {
  const row = `: ${local} ${remote} `
  const at = table.indexOf(row)
  return at < 0 ? undefined : table.slice(at + row.length, at + row.length + 2)
}

/** Both addresses as the kernel writes them; IPv4 also as a socket of IPv6 has it, for the two ends need not be of one kind. */
function pairs(local: string, remote: string): [string, string][] {
  const here = bytesOf(local)
  const there = bytesOf(remote)
  const pair: [string, string] = [written(here), written(there)]
  if (!isMapped(here) || !isMapped(there)) return [pair]
  return [pair, [written(here.slice(12)), written(there.slice(12))]]
}

const isMapped = (bytes: readonly number[]): boolean => bytes.slice(0, 12).join() === '0,0,0,0,0,0,0,0,0,0,255,255'

/** An address as the sixteen bytes of IPv6. */
function bytesOf(address: string): number[] {
  const [head = '', tail] = address
    .replace(/%.*/, '')
    .replace(/^(?=\d+\.)/, '::ffff:')
    .split('::')
  const front = bytesOfPart(head)
  const back = bytesOfPart(tail ?? '')
  return [...front, ...Array.from({ length: 16 - front.length - back.length }, () => 0), ...back]
}

function bytesOfPart(part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const word = Number.parseInt(group, 16)
    return [word >> 8, word & 0xff]
  })
}

/** Words of four bytes, each in the order of the machine. */
function written(bytes: readonly number[]): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4)
    text += Buffer.from(endianness() === 'LE' ? word.toReversed() : word).toString('hex')
  }
  return text.toUpperCase()
}

const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')

/** Some 25,000 connections; where there are more, reading them costs more than a stalled upload does. */
const mostBytes = 4 * 1024 * 1024

let reading: Promise<string | undefined> | undefined

/** Uploads that stall together share a look. */
function tablesOfLinux(): Promise<string | undefined> {
  if (process.platform !== 'linux') return Promise.resolve(undefined)
  reading ??= Promise.all([tableIn('/proc/net/tcp'), tableIn('/proc/net/tcp6').catch(noneWithoutIPv6)])
    .then(
      (tables) => tables.join(''),
      () => undefined,
    )
    .finally(() => {
      reading = undefined
    })
  return reading
}

function noneWithoutIPv6(err: NodeJS.ErrnoException): string {
  if (err.code === 'ENOENT') return ''
  throw err
}

async function tableIn(file: string): Promise<string> {
  const handle = await open(file)
  try {
    const buffer = Buffer.allocUnsafe(64 * 1024)
    let text = ''
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null)
      if (bytesRead === 0) return text
      text += buffer.toString('latin1', 0, bytesRead)
      if (text.length > mostBytes) throw new Error(`${file} is too long`)
    }
  } finally {
    await handle.close()
  }
}
