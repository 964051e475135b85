import { X509Certificate } from 'node:crypto'
import { knows, type Authorities, type CertificateAuthority } from './authorities.ts'
import { backdateMs, makeAuthority } from './issue.ts'

export interface Lives {
  readonly authorityMs: number
  readonly leafMs: number
  /** How long all must have trusted an authority before it signs: API servers hear of a change one after the other. */
  readonly overlapMs: number
}

export interface Leaf {
  readonly cert: string
  readonly key: string
  /** The certificate of the authority that signed it. */
  readonly authority: string
  readonly fromMs: number
  readonly untilMs: number
}

export interface Standing {
  readonly now: number
  readonly lives: Lives
  /** Since when each entry of the live webhook has had this certificate; undefined where one has not. */
  readonly trustedSince: (cert: string) => number | undefined
  /** What this replica shows now. */
  readonly leaf: Leaf | undefined
  /** What stood in the Secret when it was last sound. */
  readonly remembered: Authorities | undefined
}

/** Renewed at two thirds of its life: the last third is for those who could not do it in time. */
const renewAt = (fromMs: number, untilMs: number): number => fromMs + ((untilMs - fromMs) * 2) / 3

/** Signing and the word of it reaching everybody are not one moment. */
const marginMs = 60_000

/**
 * Where the authorities should be now, for any replica to write: of those that try, one succeeds, and the others find it done. The same object
 * where nothing is to change.
 */
export async function advance(found: Authorities | undefined, standing: Standing): Promise<Authorities> {
  const { now, lives, leaf, remembered } = standing
  const make = (): Promise<CertificateAuthority> => makeAuthority({ now, lifeMs: lives.authorityMs })
  let at = found ?? (await afterLoss(remembered, now, make))
  if (isOver(at.signing, now))
    at = at.next === undefined || isOver(at.next, now) ? { signing: await make(), old: at.old } : promoted(at, standing)
  if (at.next !== undefined && isOver(at.next, now)) at = { signing: at.signing, old: at.old }
  if (at.next === undefined) {
    if (now >= dueAt(at.signing)) at = { ...at, next: await make() }
  } else if (trustedLongEnough(at.next.cert, standing)) at = promoted(at, standing)
  // Whoever replaced the Secret did not know of us.
  if (leaf !== undefined && leaf.untilMs > now && !knows(at, leaf.authority)) {
    at = { ...at, old: [...at.old, { cert: leaf.authority, untilMs: leaf.untilMs }] }
  }
  const old = at.old.filter(({ cert, untilMs }) => untilMs > now && !isOver({ cert }, now))
  return old.length === at.old.length ? at : { ...at, old }
}

/** Whoever deletes the Secret wants another authority; the one that is in use is kept for as long as that takes. */
async function afterLoss(
  remembered: Authorities | undefined,
  now: number,
  make: () => Promise<CertificateAuthority>,
): Promise<Authorities> {
  if (remembered === undefined || isOver(remembered.signing, now)) return { signing: await make(), old: [] }
  return { ...remembered, next: remembered.next ?? (await make()) }
}

function promoted(at: Authorities, { now, lives }: Standing): Authorities {
  const { signing, next, old } = at
  if (next === undefined) return at
  return { signing: next, old: [...old, { cert: signing.cert, untilMs: now + lives.leafMs + marginMs }] }
}

/** Whether this replica should sign itself another leaf now. Never with an authority that is not yet trusted, while the old leaf serves. */
export function leafIsDue({ signing }: Authorities, standing: Standing): boolean {
  const { now, leaf } = standing
  if (leaf === undefined || now >= leaf.untilMs || standing.trustedSince(leaf.authority) === undefined) {
    return leaf?.authority !== signing.cert || now >= renewAt(leaf.fromMs, leaf.untilMs)
  }
  if (leaf.authority !== signing.cert) return trustedLongEnough(signing.cert, standing)
  return now >= renewAt(leaf.fromMs, leaf.untilMs)
}

/** When something is to be done next, if nothing else happens. */
export function nextMoment({ signing, next, old }: Authorities, { now, lives, leaf, trustedSince }: Standing): number {
  const trusted = [next?.cert, leaf?.authority === signing.cert ? undefined : signing.cert]
    .filter((cert) => cert !== undefined)
    .map((cert) => (trustedSince(cert) ?? now) + lives.overlapMs)
  const moments = [
    ...trusted,
    ...(next === undefined ? [dueAt(signing)] : []),
    ...(leaf === undefined ? [] : [renewAt(leaf.fromMs, leaf.untilMs)]),
    ...old.map(({ untilMs }) => untilMs),
  ]
  return Math.min(...moments)
}

function trustedLongEnough(cert: string, { now, lives, trustedSince }: Standing): boolean {
  const since = trustedSince(cert)
  return since !== undefined && now - since >= lives.overlapMs
}

function dueAt({ cert }: CertificateAuthority): number {
  const { validFromDate, validToDate } = new X509Certificate(cert)
  return renewAt(validFromDate.getTime() + backdateMs, validToDate.getTime())
}

const isOver = ({ cert }: { readonly cert: string }, now: number): boolean => new X509Certificate(cert).validToDate.getTime() <= now
