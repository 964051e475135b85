import { join } from 'node:path'
import { answers, provider } from '../../fixtures/provider.ts'
import { atATime, callHeader, calls, judged, mostAlike, scenarios, stage, type Scenario } from '../amplification.ts'
import { clientEnv } from '../behindSidecar.ts'
import { attempt, python, report, tidily, type Outcome } from './session.ts'

const file = 'openai_repeats.py'

/** How often upstreams that fail are asked by the client's repeats and ours together. */
export async function amplification(interpreter: string): Promise<Outcome> {
  const lines = await Promise.all([alone(interpreter), ...scenarios.map((scenario) => behind(interpreter, scenario))])
  return report(file, lines)
}

async function alone(interpreter: string): Promise<string> {
  return tidily(async (t) => {
    const upstream = await provider(t, answers(500))
    const good = await app(interpreter, upstream.url)
    const figure = `without a sidecar: ${good} of ${calls} answered, ${(upstream.seen.length / calls).toFixed(2)} attempts a call`
    return upstream.seen.length === 3 * calls && mostAlike([upstream]) === 3 ? `ok ${figure}` : `FAILED ${figure}`
  })
}

async function behind(interpreter: string, scenario: Scenario): Promise<string> {
  return tidily(async (t) => {
    const { url, counted } = await stage(t, scenario)
    const good = await app(interpreter, new URL(url).origin)
    const told = await counted()
    return attempt(() => judged(scenario, good, told), scenario.name)
  })
}

/** How many of the calls were answered; NaN where the app broke. */
async function app(interpreter: string, origin: string): Promise<number> {
  const env = { ...clientEnv(origin), CALLS: String(calls), AT_A_TIME: String(atATime), CALL_HEADER: callHeader }
  const { stdout, stderr, problem } = await python(interpreter, join(import.meta.dirname, file), env)
  if (problem !== '') console.error(stderr)
  return problem === '' ? Number(stdout) : Number.NaN
}
