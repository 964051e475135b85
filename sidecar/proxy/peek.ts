import type { Headers, Reply, Sink } from './call.ts'
import type { Alarm, Clock } from './clock.ts'
import { SidecarError } from './errors.ts'
import { onOver, type Life } from './life.ts'

export interface Peeked {
  /** What has been read so far. */
  readonly start: Buffer
  /** That was all. */
  readonly whole: boolean
  /** The reply, as if nobody had looked. */
  readonly reply: Reply
}

/** After which what has come is enough. */
export interface Patience {
  readonly clock: Clock
  readonly ms: number
}

/** Looks at the first `most` bytes of a reply, or at all of it where it is shorter. Fails as the reply does. */
export function peek(reply: Reply, most: number, life: Life, patience?: Patience): Promise<Peeked> {
  return new Promise((give, refuse) => {
    const chunks: Buffer[] = []
    let bytes = 0
    let sink: Sink | undefined
    let given = false
    let ended = false
    let trailers: Headers | undefined
    let failure: SidecarError | undefined
    let alarm: Alarm | undefined

    const done = (): void => {
      if (given) return
      given = true
      patience?.clock.clear(alarm)
      give({ start: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks), whole: ended, reply: unread })
    }
    const unread: Reply = {
      ...reply,
      complete: () => ended || reply.complete(),
      flow: (to) => {
        let go = true
        for (const chunk of chunks.splice(0)) go = to.data(chunk) && go
        sink = to
        if (failure !== undefined) to.fail(failure)
        else if (ended) to.end(trailers)
        else if (go) tap.resume()
        return tap
      },
      drop: () => {
        sink = nowhere
        if (ended || failure !== undefined) return
        tap.resume()
        // Read to its end so that the connection can be kept, but no longer than the call lasts: it may have no end.
        onOver(life, () => {
          tap.close(new SidecarError('client_gone', 'nobody waits for this answer'))
        })
      },
    }
    const tap = reply.flow({
      data: (chunk) => {
        if (sink !== undefined) return sink.data(chunk)
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes < most) return true
        done()
        return false
      },
      end: (last) => {
        if (sink !== undefined) return sink.end(last)
        ended = true
        trailers = last
        done()
      },
      fail: (reason) => {
        if (sink !== undefined) return sink.fail(reason)
        failure = reason
        if (given) return
        given = true
        patience?.clock.clear(alarm)
        refuse(reason)
      },
    })
    if (!given) alarm = patience?.clock.set(patience.ms, done)
  })
}

const nowhere: Sink = { data: () => true, end: () => {}, fail: () => {} }
