import { judge, type Side } from '../canary/side.ts'
import { canaryRoute } from '../canary/split.ts'
import type { SideName } from '../canary/trial.ts'
import { isUpload, type Call, type Handler, type Layer, type Reply } from '../call.ts'
import { onOver } from '../life.ts'
import { generates, namesModel } from '../llm/operation.ts'
import type { Plan } from '../plan.ts'
import type { Split } from '../upstream/route.ts'

/** Sends a share of the calls of a route to its canary, and tells apart how both sides fare. */
export function canary(): Layer {
  return (next) => (call) => {
    const { plan } = call
    const split = plan?.route.split
    return plan === undefined || split === undefined ? next(call) : onOneSide(call, plan, split, next)
  }
}

async function onOneSide(call: Call, plan: Plan, split: Split, next: Handler): Promise<Reply> {
  const { facts, headers } = call
  const wish = headerOf(headers, split.header)
  // What a call refers to goes before what it wishes: it is on one side only.
  const bound = plan.home === undefined ? undefined : split.sideOfUpstream(plan.home.candidate.upstream)
  const forced = (plan.only === undefined ? undefined : split.sideOfUpstream(plan.only)) ?? wished(wish)
  const chosen = canGo(call, plan, split) ? (bound ?? forced ?? drawn(call, split)) : 'stable'
  const side: Side = { split, chosen, counts: forced === undefined && isShared(call), served: chosen, judged: false }
  plan.side = side
  facts.side = side
  if (chosen === 'stable') plan.route = split.stable
  else {
    plan.route = forced === undefined ? canaryRoute(split, plan) : split.alone
    plan.model = split.model ?? plan.model
  }
  onOver(call.life, () => {
    const { error } = facts
    // Not one attempt could be made.
    if (plan.visit === undefined && error !== undefined && noAttempt.has(error)) judge(side, plan, undefined)
  })
  const without = wish === undefined || split.passHeader ? headers : headers.filter((_item, at) => !isNamed(headers, at, split.header))
  try {
    return await next({ ...call, headers: without, last: plan.route.alone })
  } finally {
    side.served = split.sideOf(plan.model, plan.asked?.standing)
  }
}

function wished(value = ''): SideName | undefined {
  const word = value.trim().toLowerCase()
  if (word === 'true') return 'canary'
  return word === 'false' ? 'stable' : undefined
}

const noAttempt: ReadonlySet<string> = new Set(['no_upstream', 'no_credential'])

/** A model is on trial only where it can be put into the body, and not for vectors, which no other model's can be compared with. */
function canGo({ body, facts }: Call, { home }: Plan, { model }: Split): boolean {
  if (model === undefined) return true
  return generates(facts.operation) && body !== undefined && !isUpload(body) && (home === undefined || home.candidate.serves(model))
}

function drawn(call: Call, split: Split): SideName {
  if (!isShared(call)) return 'stable'
  const key = split.stickyBy === undefined ? undefined : valueOf(call, split.stickyBy)
  return split.next(key === '' ? undefined : key)
}

/** What names no model, such as a file, goes to the canary only when it says so: what it makes would be missing on the other side. */
const isShared = ({ facts }: Call): boolean => namesModel(facts.operation)

/** A key is no header any more when a call comes here. */
function valueOf({ headers, wishes }: Call, name: string): string | undefined {
  return /^(?:authorization|api-key|x-api-key|x-goog-api-key)$/.test(name) ? wishes.key : headerOf(headers, name)
}

function headerOf(headers: readonly string[], wanted: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) if (isNamed(headers, at, wanted)) return headers[at + 1]
  return undefined
}

function isNamed(headers: readonly string[], at: number, wanted: string): boolean {
  const name = headers[at - (at % 2)] ?? ''
  return name.length === wanted.length && name.toLowerCase() === wanted
}
