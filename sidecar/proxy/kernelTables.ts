import { promises } from 'node:fs'
import { endianness } from 'node:os'

/** The two ends of a connection, as a socket names them. */
export interface Both {
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
}

/** The kernel's tables of connections as text; undefined where there are none, or more than is worth reading. */
export type Tables = () => Promise<string | undefined>

/** Both addresses as the kernel writes them; IPv4 also as a socket of IPv6 has it, for the two ends need not be of one kind. */
export function pairs(local: string, remote: string): [string, string][] {
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

export const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')

/** Some 25,000 connections; where there are more, reading them costs more than what stalls does. */
const mostBytes = 4 * 1024 * 1024

let reading: Promise<string | undefined> | undefined

/** Who stalls together shares a look. */
export function tablesOfLinux(): Promise<string | undefined> {
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
  const handle = await promises.open(file)
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
