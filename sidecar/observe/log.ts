import { pino, type Logger } from 'pino'
import { redacted } from './redact.ts'

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

export interface Log {
  readonly logger: Logger
  /** Writes finished lines as they are. */
  readonly write: (lines: string) => void
  /** Lines lost since the start, because nobody took them. */
  readonly dropped: () => number
}

/** JSON lines on standard output. Without transports: each would be a thread of its own. */
export function openLog(level: Level, write?: (lines: string) => void): Log {
  const out = write === undefined ? patientWriter(process.stdout) : { write, dropped: () => 0 }
  const timestamp = (): string => `,"time":"${new Date().toISOString()}"`
  // `null` is pino's way to leave process id and host name out: in a pod both say nothing.
  const formatters = { level: (label: string) => ({ level: label }) }
  // Over the finished line, so that no field, message or stack of an error can be forgotten.
  const hooks = { streamWrite: redacted }
  const logger = pino({ level, base: null, timestamp, formatters, hooks }, { write: out.write })
  return { logger, ...out }
}

/** What may wait for a collector that is stuck: some thousand lines. */
const mostWaiting = 1024 * 1024

/**
 * Never waits and never fails: calls matter more than lines about them. Pino's own destination sleeps in the only thread of the process
 * while a pipe is full, and one of its asynchronous kind occupies a thread of the pool that name lookups need as well.
 */
export function patientWriter(
  out: Pick<NodeJS.WriteStream, 'write' | 'writableLength'>,
  most = mostWaiting,
): { write: (lines: string) => void; dropped: () => number } {
  let dropped = 0
  return {
    write: (lines) => {
      if (out.writableLength > most) {
        dropped += linesIn(lines)
        return
      }
      out.write(lines, (err) => {
        if (err) dropped += linesIn(lines)
      })
    },
    dropped: () => dropped,
  }
}

function linesIn(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++
  return lines
}
