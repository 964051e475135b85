import { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

const sorted = Object.getOwnPropertyDescriptor(IncomingMessage.prototype, 'headers')
const ended = Object.getOwnPropertyDescriptor(Readable.prototype, 'readableEnded')
const none = Object.freeze({})

/** Takes the body of a request as the parser finds it. */
export interface Taker {
  readonly data: (bytes: Buffer) => void
  readonly end: () => void
  /** The connection was lost in front of the end. */
  readonly lost: (cause: Error | null) => void
}

/**
 * A request whose header is not sorted into an object: the border reads the lines as they came, and only node:http itself asks of every call
 * whether it expects something. Where it does, and for a switch of protocols, all is as usual. And a request whose body need not go through a
 * stream, which would put it off by three turns, for more than all layers together cost: nearly every body comes in one piece with its head.
 */
export class LeanRequest extends IncomingMessage {
  _taker: Taker | undefined = undefined
  _taken = false

  /** Has the body go to `taker`: through the stream, where some of it is there already. */
  handTo(taker: Taker): void {
    this._taker = taker
    if (this.complete || this.destroyed || this.readableLength > 0) this.handToStream()
  }

  /** What still comes goes through the stream, where it can wait. */
  handToStream(): void {
    const taker = this._taker
    if (taker === undefined) return
    this._taker = undefined
    this.on('data', taker.data)
    this.on('end', taker.end)
    this.on('error', taker.lost)
  }

  /** The parser calls it with what it finds, and with null at the end. */
  override push(bytes: Buffer | null): boolean {
    const taker = this._taker
    if (taker === undefined) return super.push(bytes)
    if (bytes !== null) {
      taker.data(bytes)
      return true
    }
    this._taker = undefined
    this._taken = true
    // Lest node:http read the stream to its end, behind the answer.
    ;(this as { _consuming?: boolean })._consuming = true
    taker.end()
    return false
  }

  override _destroy(err: Error | null, done: (err?: Error | null) => void): void {
    const taker = this._taker
    this._taker = undefined
    super._destroy(err, done)
    if (taker !== undefined)
      process.nextTick(() => {
        taker.lost(err)
      })
  }
}

Object.defineProperty(LeanRequest.prototype, 'headers', {
  ...sorted,
  get(this: IncomingMessage & { readonly upgrade?: boolean }): unknown {
    return this.upgrade === true || expectsSomething(this.rawHeaders) ? sorted?.get?.call(this) : none
  },
})

Object.defineProperty(LeanRequest.prototype, 'readableEnded', {
  ...ended,
  get(this: LeanRequest): unknown {
    return this._taken || ended?.get?.call(this)
  },
})

function expectsSomething(lines: readonly string[]): boolean {
  for (let at = 0; at < lines.length; at += 2) {
    const name = lines[at] ?? ''
    if (name.length === 6 && name.toLowerCase() === 'expect') return true
  }
  return false
}
