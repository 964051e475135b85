import { IncomingMessage } from 'node:http'

const sorted = Object.getOwnPropertyDescriptor(IncomingMessage.prototype, 'headers')
const none = Object.freeze({})

/**
 * A request whose header is not sorted into an object: the border reads the lines as they came, and only node:http itself asks of every call
 * whether it expects something. Where it does, and for a switch of protocols, all is as usual.
 */
export class LeanRequest extends IncomingMessage {}

Object.defineProperty(LeanRequest.prototype, 'headers', {
  ...sorted,
  get(this: IncomingMessage & { readonly upgrade?: boolean }): unknown {
    return this.upgrade === true || expectsSomething(this.rawHeaders) ? sorted?.get?.call(this) : none
  },
})

function expectsSomething(lines: readonly string[]): boolean {
  for (let at = 0; at < lines.length; at += 2) {
    const name = lines[at] ?? ''
    if (name.length === 6 && name.toLowerCase() === 'expect') return true
  }
  return false
}
