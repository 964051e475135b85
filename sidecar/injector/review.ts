import { isMapping } from '../config/mapping.ts'
import { rawOf, textOf, type Raw } from './raw.ts'

/** What the API server asks. */
export interface Review {
  readonly uid: string
  readonly namespace: string
  readonly pod: Raw
  /** Nothing will come of it: nobody may be told of it either. */
  readonly dryRun: boolean
}

/** A question that is none; the message says why. */
export class ReviewRefused extends Error {
  override readonly name = 'ReviewRefused'
}

const apiVersion = 'admission.k8s.io/v1'

/** Reads an AdmissionReview; throws `ReviewRefused`. */
export function parseReview(body: string): Review {
  const review = rawOf(json(body))
  if (review['kind'] !== 'AdmissionReview') throw new ReviewRefused('the body is no AdmissionReview')
  if (review['apiVersion'] !== apiVersion) throw new ReviewRefused(`apiVersion must be ${apiVersion}`)
  const { request } = review
  if (!isMapping(request)) throw new ReviewRefused('request is missing')
  const uid = textOf(request['uid']) ?? ''
  if (uid === '') throw new ReviewRefused('request.uid is missing')
  const { group, kind, version } = rawOf(request['kind'])
  if ((group ?? '') !== '' || kind !== 'Pod' || version !== 'v1') throw new ReviewRefused('request.kind must be a Pod of v1')
  if (request['operation'] !== 'CREATE') throw new ReviewRefused('request.operation must be CREATE')
  if ((request['subResource'] ?? '') !== '') throw new ReviewRefused('request.subResource must be empty')
  const { namespace, object, dryRun } = request
  if (typeof namespace !== 'string' || namespace === '') throw new ReviewRefused('request.namespace is missing')
  if (!isMapping(object)) throw new ReviewRefused('request.object is missing')
  return { uid, namespace, pod: object, dryRun: dryRun === true }
}

function json(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    // The error of the parser quotes the text, and a pod may hold a key.
    throw new ReviewRefused('the body is not JSON')
  }
}

export interface Verdict {
  readonly allowed: boolean
  /** Why not. */
  readonly message?: string
  /** RFC 6902; none where nothing changes. */
  readonly patch?: readonly unknown[]
  readonly warnings?: readonly string[]
}

// The API server cuts what is longer than 4096 in all, in the middle of a sentence.
const mostWarnings = 10
const longestWarning = 350

/** The answer, as the API server reads it. */
export function answerOf(uid: string, { allowed, message, patch = [], warnings = [] }: Verdict): string {
  const told = warnings.slice(0, mostWarnings).map((one) => (one.length > longestWarning ? `${one.slice(0, longestWarning)}…` : one))
  if (warnings.length > mostWarnings) told.push(`and ${warnings.length - mostWarnings} more`)
  return JSON.stringify({
    apiVersion,
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed,
      ...(message !== undefined && { status: { code: 403, reason: 'Forbidden', message } }),
      ...(patch.length > 0 && { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
      ...(told.length > 0 && { warnings: told.map((one) => `outrider: ${one}`) }),
    },
  })
}
