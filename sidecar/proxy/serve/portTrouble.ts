import { portHolder } from './portHolder.ts'

/** A listener that could not be opened, in a sentence that names the setting to change. */
export class PortTrouble extends Error {
  override readonly name = 'PortTrouble'
}

const variables: Readonly<Record<string, string>> = { 'listen.port': 'PORT', 'admin.port': 'ADMIN_PORT' }

/** For the `catch` of whatever opens the port that `setting` names; anything else passes through. */
export const portTrouble =
  (setting: string) =>
  (err: NodeJS.ErrnoException & { port?: number; address?: string }): never => {
    const { code, port, address } = err
    const variable = variables[setting]
    const where = variable === undefined ? setting : `${setting}, or the variable ${variable} where there is no config file`
    switch (code) {
      case 'EADDRINUSE':
        throw new PortTrouble(`Port ${port} is taken by ${portHolder(port ?? 0) ?? 'another program'}: choose another with ${where}.`, {
          cause: err,
        })
      case 'EACCES':
        throw new PortTrouble(`Port ${port} may not be used without privileges: choose one above 1023 with ${where}.`, { cause: err })
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
        throw new PortTrouble(
          `${address ?? 'The host'} is no address of this machine: choose another with ${setting.replace('port', 'host')}.`,
          { cause: err },
        )
      default:
        throw err
    }
  }
