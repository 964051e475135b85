import { pino, destination as openDestination, type Logger } from 'pino'

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

export interface Log {
  readonly logger: Logger
  /** Writes finished lines as they are. */
  readonly write: (lines: string) => void
}

/** JSON lines on standard output. Without transports: each would be a thread of its own. */
export function openLog(level: Level, write?: (lines: string) => void): Log {
  const destination = write === undefined ? openDestination({ fd: 1, sync: true }) : { write }
  const timestamp = (): string => `,"time":"${new Date().toISOString()}"`
  // `null` is pino's way to leave process id and host name out: in a pod both say nothing.
  const logger = pino({ level, base: null, timestamp, formatters: { level: (label) => ({ level: label }) } }, destination)
  return {
    logger,
    write: (lines) => {
      destination.write(lines)
    },
  }
}
