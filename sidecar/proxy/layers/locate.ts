import type { Call, Layer } from '../call.ts'
import { SidecarError } from '../errors.ts'
import { operationOf } from '../llm/operation.ts'
import { asksForHealth } from './local.ts'

export interface LocateOptions {
  /** `GET /health` is the upstream's to answer. */
  readonly passHealth: boolean
}

/** Turns away what is not under /v1, and any path that could climb out of the upstream's base path. */
export function locate({ passHealth }: LocateOptions): Layer {
  return (next) => (call) => {
    const { path } = call
    if (path === undefined) {
      if (!passHealth || !isHealthPassed(call)) return Promise.reject(new SidecarError('not_found', notFound))
      call.facts.operation = 'health'
      return next(call)
    }
    if (climbs(path)) return Promise.reject(new SidecarError('bad_request', 'the path holds "." or ".." segments, plain or encoded'))
    call.facts.operation = operationOf(path)
    return next(call)
  }
}

const notFound = 'only paths under /v1 are served here: let the base URL of the app end in /v1'

/** A question that comes with a body is none. */
const isHealthPassed = (call: Call): boolean => asksForHealth(call) && call.body === undefined

/** More layers of encoding than any server takes off, and than any honest path has. */
const mostLayers = 4

/** Servers decode before they resolve, some of them twice: so the path is looked at as each of them would see it. */
function climbs(path: string): boolean {
  const query = path.indexOf('?')
  let plain = query < 0 ? path : path.slice(0, query)
  if (!plain.includes('.') && !plain.includes('%')) return false
  for (let layer = 0; layer <= mostLayers; layer++) {
    // A segment ends where any server may think so: parameters follow a semicolon, and a decoded `?`, `#` or NUL ends the path.
    if (/(?:^|[/\\])\.{1,2}(?:[/\\;?#\0]|$)/.test(plain)) return true
    const decoded = plain.replace(/%([0-9a-fA-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    if (decoded === plain) return false
    plain = decoded
  }
  return true
}
