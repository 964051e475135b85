import { readFileSync } from 'node:fs'
import { parseClients, type Config } from '../config/config.ts'
import { watchFiles } from '../config/watchFiles.ts'
import type { Client } from './layers/identify.ts'

export interface Clients {
  readonly current: () => readonly Client[] | undefined
  readonly close: () => void
}

/** Who may call: the list of the config and that of its file, which is read again when it changes; a bad one leaves the last good one. */
export async function openClients(
  { clients, clientsFile }: Pick<Config, 'clients' | 'clientsFile'>,
  say: (level: 'info' | 'error', message: string) => void,
): Promise<Clients> {
  if (clientsFile === undefined) return { current: () => clients, close: () => {} }
  const readAll = async (): Promise<readonly Client[]> => [
    ...(clients ?? []),
    ...(await parseClients(readFileSync(clientsFile, 'utf8'), clientsFile)),
  ]
  let list = await readAll()
  const watched = watchFiles([clientsFile], () => {
    readAll().then(
      (read) => {
        list = read
        say('info', `clients read again: ${list.length}`)
      },
      (err: unknown) => {
        say('error', `the list of clients cannot be used, the one from before stays: ${(err as Error).message}`)
      },
    )
  })
  return { current: () => list, close: watched.close }
}
