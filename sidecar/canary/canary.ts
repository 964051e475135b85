import { exitCodes } from '../exitCodes.ts'
import { readKeyFile } from '../proxy/keyFile.ts'
import { answered, CanaryTrouble } from './askControl.ts'
import type { CanaryPlan } from './canaryOptions.ts'
import { routesWithCanary, seenRoute, theRoute } from './seen.ts'
import { watch, type Output } from './watch.ts'
import { statusLines } from './words.ts'

/** Drives the canaries of a running process; resolves with the exit code. What goes wrong is one line. */
export async function canary(plan: CanaryPlan, told: Promise<void>, output: Output): Promise<number> {
  try {
    switch (plan.action) {
      case 'status':
        return await status(plan, output)
      case 'watch':
        return await watch(plan.route ?? (await theRoute(plan.control)), plan, told, output)
      default:
        return await change(plan, output)
    }
  } catch (err) {
    if (!(err instanceof CanaryTrouble)) throw err
    output.err(`${err.message}\n`)
    return exitCodes.failed
  }
}

async function status({ control, route, json }: CanaryPlan, { out }: Output): Promise<number> {
  const names = route === undefined ? await routesWithCanary(control) : [route]
  const all = []
  for (const name of names) all.push(await seenRoute(control, name))
  if (json) out(`${JSON.stringify({ routes: all.map(({ name, canary: seen }) => ({ route: name, ...seen })) }, null, 2)}\n`)
  else if (all.length === 0) out('No route of this process has a canary.\n')
  else out(all.map(({ name, canary: seen }) => statusLines(name, seen)).join(''))
  return exitCodes.ok
}

async function change(plan: CanaryPlan, { out, err }: Output): Promise<number> {
  const { control, action, version, json } = plan
  const token = await tokenOf(plan)
  const name = plan.route ?? (await theRoute(control))
  const { canary: before, etag } = await seenRoute(control, name)
  if (version !== undefined && version !== before.version) {
    throw new CanaryTrouble(
      `The canary of route ${name} is at version ${before.version} (${before.why}), not ${version}: nothing was changed.`,
    )
  }
  const path = `/${encodeURIComponent(name)}/${action === 'set' ? 'weights' : action}`
  const body = action === 'set' ? { weights: { canary: plan.weight }, reason: plan.reason } : undefined
  // A rollback is wanted whatever has happened meanwhile; for the others, what was seen must still be so.
  const ifMatch = action === 'rollback' && version === undefined ? undefined : etag
  const { json: said } = await answered({
    control,
    path,
    token,
    method: action === 'set' ? 'PUT' : 'POST',
    ...(body !== undefined && { body }),
    ...(ifMatch !== undefined && { ifMatch }),
  })
  const { canary: after } = await seenRoute(control, name)
  if (json) out(`${JSON.stringify(said, null, 2)}\n`)
  else
    out(
      `The canary of route ${name} has the weight ${after.weights.canary} now, after ${before.weights.canary} (version ${after.version}).\n`,
    )
  const isLost = typeof said === 'object' && said !== null && 'persisted' in said && said.persisted === false
  if (isLost && !json) err('It lasts until the process ends: control.stateFile in its config would keep it.\n')
  return exitCodes.ok
}

async function tokenOf({ tokenFile }: CanaryPlan): Promise<string> {
  const { raw, refusal } = await readKeyFile(tokenFile ?? '')
  if (refusal !== undefined) throw new CanaryTrouble(`The token file ${tokenFile} ${refusal}.`)
  const token = raw?.trim() ?? ''
  if (!/^[\x21-\x7e]+$/.test(token)) throw new CanaryTrouble(`The token file ${tokenFile} holds no token of plain ASCII.`)
  return token
}
