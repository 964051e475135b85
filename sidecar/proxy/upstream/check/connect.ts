import type { Clock } from '../../clock.ts'
import type { Connector } from '../connector.ts'
import { answerOfFailure, type Question } from './question.ts'

/** Asks only whether a connection can be opened, through the HTTP proxy on the way and with TLS where calls have them. */
export function connect({ dial }: Connector, clock: Clock, timeoutMs: number): Question {
  return (tell) => {
    const giveUp = dial((err, socket) => {
      clock.clear(alarm)
      socket?.on('error', () => {}).destroy()
      tell(err === undefined ? { well: true, what: 'connected', reached: true } : answerOfFailure(err))
    })
    const alarm = clock.set(timeoutMs, () => {
      giveUp()
      tell({ well: false, what: `no connection within ${timeoutMs / 1_000} s`, reached: false })
    })
    return () => {
      clock.clear(alarm)
      giveUp()
    }
  }
}
