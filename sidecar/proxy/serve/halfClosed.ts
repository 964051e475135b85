import { hex, pairs, tablesOfLinux, type Both, type Tables } from '../kernelTables.ts'

type Ends = { readonly [End in keyof Both]?: Both[End] | undefined }

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
