import { ConfigRefused, parseClients, readText, type Config } from '../config/config.ts'
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
  let list: readonly Client[] = []
  let reading = Promise.resolve()
  let closed = false

  const readAgain = async (): Promise<void> => {
    try {
      const read = await readAll(clients ?? [], clientsFile)
      if (closed) return
      list = read
      say('info', `clients read again: ${list.length}`)
    } catch (err) {
      if (!closed) say('error', `the list of clients cannot be used, the one from before stays: ${(err as Error).message}`)
    }
  }
  // Before the first reading, so that no change falls between the two; one after the other, so that the last one stays.
  const watched = watchFiles([clientsFile], () => {
    reading = reading.then(readAgain)
  })
  try {
    list = await readAll(clients ?? [], clientsFile)
  } catch (err) {
    watched.close()
    throw err
  }
  return {
    current: () => list,
    close: () => {
      closed = true
      watched.close()
    },
  }
}

async function readAll(inConfig: readonly Client[], file: string): Promise<readonly Client[]> {
  const inFile = await parseClients(await readText(file, 'clientsFile'), file)
  const taken = new Set(inConfig.map(({ name }) => name))
  const problems = inFile.flatMap(({ name }, index) =>
    taken.has(name) ? [{ path: `[${index}].name`, message: 'is the name of a client in the config too' }] : [],
  )
  if (problems.length > 0) throw new ConfigRefused(file, problems)
  return [...inConfig, ...inFile]
}
