import { version } from '../../../version.ts'
import type { Call, Handler, Reply } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { asSidecarError, SidecarError } from '../../errors.ts'
import { newFacts } from '../../facts.ts'
import { cancel, finish, newLife } from '../../life.ts'
import { traceFrom } from '../../trace.ts'
import { answerOfFailure, type Answer, type Question } from './question.ts'
import type { Verdict } from './verdict.ts'

export interface GetOptions {
  /** The way of an attempt from the key on: over the same connections as calls. */
  readonly handle: Handler
  readonly path: string
  readonly clock: Clock
  readonly timeoutMs: number
  readonly verdict: Verdict
}

/** Some lists are megabytes; a connection that would have to carry the rest of one is not worth keeping. */
const mostBytes = 256 * 1024

/** Asks by a request without a body, which nobody bills. */
export function get({ handle, path, clock, timeoutMs, verdict }: GetOptions): Question {
  return (tell) => {
    const life = newLife()
    const call = callOf(path, life, clock.now())
    let over = false
    const end = (answer: Answer | undefined): void => {
      if (over) return
      over = true
      clock.clear(alarm)
      tell(answer)
      cancel(life, new SidecarError('client_gone', 'the check is over'))
      finish(life, undefined)
    }
    const alarm = clock.set(timeoutMs, () => {
      const reached = call.facts.connectedMs !== 0
      end({ well: false, what: `no ${reached ? 'answer' : 'connection'} within ${timeoutMs / 1_000} s`, reached })
    })
    const failed = (thrown: unknown): void => {
      end(answerOfFailure(asSidecarError(thrown)))
    }
    // A handler may throw at once, for want of a key for one.
    Promise.try(handle, call)
      .then((reply) => {
        const what = `status ${reply.status}`
        readAll(reply, { failed, ended: () => end({ well: verdict(reply.status, reply.headers), what, reached: true }) })
      })
      .catch(failed)
    return () => {
      end(undefined)
    }
  }
}

/** To its end, so that the connection can be kept. */
function readAll(reply: Reply, { ended, failed }: { ended: () => void; failed: (reason: SidecarError) => void }): void {
  const tooMuch = new SidecarError('client_gone', 'enough of it is seen')
  let bytes = 0
  const tap = reply.flow({
    data: (chunk) => {
      bytes += chunk.length
      if (bytes > mostBytes) tap.close(tooMuch)
      return true
    },
    end: ended,
    fail: (reason) => {
      if (reason === tooMuch) ended()
      else failed(reason)
    },
  })
}

const callOf = (path: string, life: Call['life'], now: number): Call => ({
  id: 'check',
  method: 'GET',
  path,
  target: path,
  // What is packed is not unpacked here: only its beginning is looked at.
  headers: ['accept', 'application/json, */*', 'accept-encoding', 'gzip', 'user-agent', `outrider/${version}`],
  body: undefined,
  wishes: { contentType: '', key: undefined, timeoutMs: 0, readTimeoutMs: 0, retries: 0, upstream: '', model: '' },
  life,
  facts: newFacts(now, traceFrom('')),
  fresh: false,
  last: true,
  plan: undefined,
  inform: () => {},
})
