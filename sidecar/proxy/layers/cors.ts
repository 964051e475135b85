import { emptyReply, type Call, type Headers, type Layer, type Reply } from '../call.ts'

export interface CorsOptions {
  /** `*` among them is everyone. */
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  /** `*` among them is every header that is asked for. */
  readonly headers: readonly string[]
  readonly credentials: boolean
  /** How long a browser may remember the answer, in milliseconds. */
  readonly maxAge: number
}

/**
 * Tells browsers who may read the answers. What the upstream says about it is taken out: it knows nothing of our origins, and a header that
 * comes twice is refused by every browser.
 */
export function cors(options: CorsOptions | undefined): Layer {
  if (options === undefined) return (next) => next
  const isOpen = options.origins.includes('*')
  const origins = new Set(options.origins)
  const allowed = (origin: string | undefined): string | undefined => {
    if (isOpen) return '*'
    return origin !== undefined && origins.has(origin) ? origin : undefined
  }
  return (next) => async (call) => {
    const origin = allowed(headerOf(call, 'origin'))
    if (isPreflight(call)) return preflight(call, origin, options)
    const reply = await next(call)
    return { ...reply, headers: ruled(reply, origin, options) }
  }
}

const isPreflight = (call: Call): boolean =>
  call.method === 'OPTIONS' && headerOf(call, 'origin') !== undefined && headerOf(call, 'access-control-request-method') !== undefined

function preflight(call: Call, origin: string | undefined, { methods, headers, credentials, maxAge }: CorsOptions): Reply {
  const out: Headers = { vary: 'origin, access-control-request-method, access-control-request-headers' }
  // Who may not gets no word of permission, and that is what browsers look for.
  if (origin === undefined) return emptyReply(204, out)
  // The star of the protocol itself leaves the authorization header out, so what was asked for is named.
  const asked = headers.includes('*') ? headerOf(call, 'access-control-request-headers') : headers.join(', ')
  out['access-control-allow-origin'] = origin
  out['access-control-allow-methods'] = methods.join(', ')
  if (asked !== undefined && asked !== '') out['access-control-allow-headers'] = asked
  if (credentials) out['access-control-allow-credentials'] = 'true'
  out['access-control-max-age'] = String(Math.floor(maxAge / 1_000))
  return emptyReply(204, out)
}

function ruled({ headers }: Reply, origin: string | undefined, { credentials }: CorsOptions): Headers {
  const out: Headers = {}
  for (const name in headers) if (!name.startsWith('access-control-')) out[name] = headers[name]
  if (origin !== '*') out['vary'] = varying(headers['vary'])
  if (origin === undefined) return out
  out['access-control-allow-origin'] = origin
  // With credentials a star is taken for the name of a header.
  out['access-control-expose-headers'] = credentials ? [...Object.keys(out).filter(isTold), ...ours].join(', ') : '*'
  if (credentials) out['access-control-allow-credentials'] = 'true'
  return out
}

/** What the upstream says of it stays: it may well choose its answer by our origins too. */
function varying(theirs: Headers[string]): string {
  const said = [theirs ?? []].flat().join(', ')
  if (said === '') return 'origin'
  return /(?:^|[\s,])(?:origin|\*)(?:$|[\s,])/i.test(said) ? said : `${said}, origin`
}

const ours = [
  'x-outrider-call',
  'x-outrider-error',
  'x-outrider-fault',
  'x-outrider-side',
  'x-outrider-upstream',
  'x-outrider-attempts',
  'x-outrider-model',
  'x-outrider-cache',
  'x-outrider-missing',
  'x-outrider-edited',
  'x-outrider-not-repeated',
]
const isTold = (name: string): boolean => name !== 'set-cookie' && !name.startsWith('access-control-') && !name.startsWith('x-outrider-')

function headerOf({ headers }: Call, wanted: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    if (name.length === wanted.length && name.toLowerCase() === wanted) return headers[at + 1]
  }
  return undefined
}
