import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { decide, happeningOf } from '../../sidecar/injector/decide.ts'
import type { Raw } from '../../sidecar/injector/raw.ts'
import { version } from '../../sidecar/version.ts'
import { profilesOf, settingsWith } from './injection.ts'

/** A pod as the API server shows it to the webhook, and what is special about the cluster it comes from. */
interface Given {
  readonly namespace?: string
  readonly dryRun?: boolean
  readonly minor?: number
  readonly profiles?: readonly string[]
  readonly runAsUser?: number | 'none'
  readonly imagePullSecrets?: readonly string[]
  readonly pod: Raw
}

const folder = join(import.meta.dirname, 'golden')
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.in.yaml'))
  .map((file) => file.slice(0, -'.in.yaml'.length))
const all = await profilesOf()

function outcome({ namespace = 'team-a', dryRun = false, minor = 34, profiles, pod, ...over }: Given): unknown {
  const settings = settingsWith(new Map([...all].filter(([name]) => profiles?.includes(name) ?? true)), {
    nativeSidecars: () => minor >= 33,
    serverMinor: () => minor,
    ...over,
  })
  const review = { uid: 'u', namespace, pod, dryRun }
  const decision = decide(review, settings)
  const happening = happeningOf(decision, review)
  const { result, reason } = decision
  return {
    result,
    reason,
    ...(happening && { event: `${happening.reason} on ${happening.owner.kind} ${happening.owner.name}: ${happening.message}` }),
    ...(decision.result !== 'injected' && decision.message !== undefined && { message: decision.message }),
    ...(decision.result === 'injected' && {
      warnings: decision.warnings,
      patch: decision.patch.map(({ op, path }) => `${op} ${path}`),
      pod: decision.pod,
    }),
  }
}

for (const name of names) {
  test(`golden pod: ${name}`, () => {
    const given = parse(
      readFileSync(join(folder, `${name}.in.yaml`), 'utf8').replaceAll('"version":"VERSION"', `"version":"${version}"`),
    ) as Given
    const made = stringify(outcome(given), { lineWidth: 0, aliasDuplicateObjects: false }).replaceAll(
      `"version":"${version}"`,
      '"version":"VERSION"',
    )
    const file = join(folder, `${name}.out.yaml`)
    // UPDATE_GOLDEN=1 writes what comes out now: read the difference before it is committed.
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, made)
    assert.ok(existsSync(file), `${file} is missing: UPDATE_GOLDEN=1 writes it`)
    assert.equal(made, readFileSync(file, 'utf8'))
  })
}

test('there is a golden pair for at least forty pods, and no outcome without its pod', () => {
  assert.ok(names.length >= 40)
  const outcomes = readdirSync(folder).filter((file) => file.endsWith('.out.yaml'))
  assert.deepEqual(outcomes.map((file) => file.slice(0, -'.out.yaml'.length)).toSorted(), names.toSorted())
})
