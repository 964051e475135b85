import { isUpload, type Call, type Layer } from '../call.ts'
import type { Clock } from '../clock.ts'
import { SidecarError } from '../errors.ts'
import { affinityKey } from '../llm/affinityKey.ts'
import { fingerprint } from '../llm/fingerprint.ts'
import { mayRefer, referencesOf } from '../llm/references.ts'
import { routeFacts } from '../llm/routeFacts.ts'
import type { Home, Plan } from '../plan.ts'
import { near } from '../upstream/affinity.ts'
import type { Candidate } from '../upstream/candidate.ts'
import type { Pins } from '../upstream/pins.ts'

export interface HomeOptions {
  readonly clock: Pick<Clock, 'now'>
  /** Undefined where all upstreams are one account. */
  readonly pins: Pins | undefined
  readonly candidates: readonly Candidate[]
}

/**
 * Finds out where a call belongs: at the one account that has what it refers to, or near the others that have something in common with it, so
 * that caches of prompts stay warm.
 */
export function home({ clock, pins, candidates }: HomeOptions): Layer {
  const byAccount = new Map(candidates.map((candidate) => [candidate.account, candidate]))
  return (next) => (call) => {
    const { plan, facts, path = '' } = call
    // Where there is nowhere else to go, nothing is looked for.
    if (plan === undefined || plan.route.alone) return next(call)
    const { affinity } = plan.route
    if (affinity.length > 0) plan.affinity = affinityKey(call, affinity)
    if (plan.affinity !== 0) facts.chosenBy = 'affinity'
    const body = isUpload(call.body) ? undefined : call.body
    if (pins === undefined || !mayRefer(facts.operation, path, body)) return next(call)
    const { ids, bound } = referencesOf(path, body)
    if (!bound) return next(call)
    try {
      const found = ids.length === 0 ? undefined : made(ids, (id) => byAccount.get(pins.find(id, clock.now()) ?? ''))
      plan.home = found ?? guessed(plan, ids[0] ?? '', call)
      if (found !== undefined) mustReach(plan, found)
    } catch (err) {
      return Promise.reject(err as SidecarError)
    }
    if (plan.home !== undefined) facts.chosenBy = plan.home.known ? 'pin' : 'id'
    return next(call)
  }
}

/** The account that made what these name, as far as that was seen. */
function made(ids: readonly string[], find: (id: string) => Candidate | undefined): Home | undefined {
  let first: Home | undefined
  for (const id of ids) {
    const candidate = find(id)
    if (candidate === undefined) continue
    first ??= { candidate, id, known: true }
    if (first.candidate === candidate) continue
    throw new SidecarError(
      'bad_request',
      `the request refers to ${first.id}, which ${nameOf(first.candidate)} made, and to ${id}, which ${nameOf(candidate)} made: no upstream has both`,
      { quotes: true },
    )
  }
  return first
}

/** The same one for all who name it, now and in every other sidecar: so that those who are right together stay right. */
function guessed({ route, only, model, affinity }: Plan, id: string, { body }: Call): Home | undefined {
  const fits = ({ upstream, weight, serves }: Candidate): boolean => (only === undefined ? weight > 0 : upstream === only) && serves(model)
  // On the side that has had nearly all calls.
  const { tiers } = only === undefined ? (route.split?.usual() ?? route) : route
  const tier = tiers.find((one) => one.some(fits))?.filter(fits) ?? []
  const key = id === '' ? affinity || startOf(body) : fingerprint(id)
  // Without weights, which may change while what has been made stays where it is.
  const members = tier.map((candidate) => ({ name: candidate.standing.name, weight: 1, ease: 1, inFlight: 0, candidate }))
  const candidate = near(key, members, Infinity)?.candidate
  return candidate && { candidate, id, known: false }
}

const startOf = (body: Call['body']): number => (Buffer.isBuffer(body) ? routeFacts(body).promptHash : 0)

/** What one upstream has is of no use to a call that may not go there. */
function mustReach({ route, model, only }: Plan, { candidate, id }: Home): void {
  const has = `the request refers to ${id}, which ${nameOf(candidate)} made`
  if (only !== undefined && candidate.upstream !== only) throw unreachable(`${has}, and x-outrider-upstream asks for ${only}`)
  if (!route.tiers.some((tier) => tier.includes(candidate))) throw unreachable(`${has}, and route ${route.name} does not go there`)
  if (!candidate.serves(model)) throw unreachable(`${has}, and that upstream does not have model ${model}`)
}

/** Ids are the client's words. */
const unreachable = (why: string): SidecarError => new SidecarError('bad_request', why, { quotes: true })

const nameOf = ({ upstream, credential }: Candidate): string =>
  credential === '' ? `upstream ${upstream}` : `upstream ${upstream} with credential ${credential}`
