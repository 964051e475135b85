import { promises } from 'node:fs'
import * as v from 'valibot'
import { fileFault } from '../../config/fileFault.ts'
import { trialStates, type Setting } from './trial.ts'
import type { KeptWeights } from './upstreamWeights.ts'

const setting = v.object({
  identity: v.string(),
  weight: v.pipe(v.number(), v.minValue(0), v.maxValue(100)),
  state: v.picklist(trialStates),
  version: v.pipe(v.number(), v.integer(), v.minValue(1)),
  sinceMs: v.number(),
  why: v.string(),
  rollbacks: v.pipe(v.number(), v.integer(), v.minValue(0)),
})
const weight = v.pipe(v.number(), v.minValue(0), v.maxValue(10_000))
const upstreams = v.object({
  version: v.pipe(v.number(), v.integer(), v.minValue(1)),
  weights: v.record(v.string(), v.object({ configured: weight, weight })),
})
const content = v.object({ format: v.literal(1), mark: v.string(), routes: v.record(v.string(), setting), upstreams })

/** What is kept of all weights from one process to the next. */
export interface Kept {
  /** Tells the versions of one history from those of another. */
  readonly mark: string
  readonly routes: Readonly<Record<string, Setting>>
  readonly upstreams: KeptWeights
}

/** Undefined where there is no file yet; throws a sentence where there is one of no use. */
export async function readState(file: string): Promise<Kept | undefined> {
  let text: string
  try {
    text = await promises.readFile(file, 'utf8')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`${file} ${fileFault(err)}`, { cause: err })
  }
  const found = v.safeParse(content, parsed(text))
  if (!found.success) throw new Error(`${file} does not hold weights as Outrider writes them`)
  return found.output
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whoever reads the file, also after a loss of power, finds what was written now or before, and never a part. */
export async function writeState(file: string, { mark, routes, upstreams: ofUpstreams }: Kept): Promise<void> {
  const beside = `${file}.${process.pid}.new`
  try {
    const handle = await promises.open(beside, 'w', 0o600)
    try {
      await handle.writeFile(`${JSON.stringify({ format: 1, mark, routes, upstreams: ofUpstreams }, null, 2)}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await promises.rename(beside, file)
  } catch (err) {
    await promises.rm(beside, { force: true }).catch(() => {})
    throw new Error(`${file} cannot be written (${(err as NodeJS.ErrnoException).code ?? 'for an unknown reason'})`, { cause: err })
  }
}
