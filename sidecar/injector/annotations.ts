import * as v from 'valibot'
import { count, duration, flag, name } from '../config/kinds.ts'
import { isMapping } from '../config/mapping.ts'
import { nearest } from '../config/nearest.ts'
import { code, type Table as Markdown } from '../markdown.ts'
import { problemsOf } from '../config/problems.ts'
import { logLevel } from '../config/schema.ts'
import { Denial } from './denial.ts'
import { configAnnotation, domain, injectLabel, statusAnnotation } from './names.ts'
import { cpu, memory } from './quantity.ts'
import type { Raw } from './raw.ts'

const modes = ['auto', 'native', 'legacy'] as const

const someNames = 'must be names with commas between them'
const names = v.pipe(
  v.string(someNames),
  v.transform((text) => text.split(',').map((one) => one.trim())),
  v.check((all) => all.every((one) => /^[\w.-]{1,253}$/.test(one)), someNames),
)

// A port below that needs a right that the sidecar does not have.
const port = count({ least: 1024, most: 65_535 })

/** What an annotation of a pod can tune: THE list. The table of the README is made of it. */
export const annotations = {
  profile: { kind: name, help: 'The profile that the pod gets.', otherwise: '`default`' },
  mode: {
    kind: v.picklist(modes, `must be one of ${modes.join(', ')}`),
    help: '`native`: an init container that goes on running, as Kubernetes has them from 1.29 on. `legacy`: an ordinary container.',
    otherwise: '`auto`: native from Kubernetes 1.33 on',
  },
  port: {
    kind: port,
    help: 'The port for calls; the pod is refused where it is taken.',
    otherwise: 'that of the profile, or the next free one',
  },
  'admin-port': {
    kind: port,
    help: 'The port for probes and metrics; the pod is refused where it is taken.',
    otherwise: 'that of the profile, or the next free one',
  },
  containers: { kind: names, help: 'The only containers that get variables.', otherwise: 'all of the app' },
  'skip-containers': { kind: names, help: 'Containers that get no variables.', otherwise: 'none' },
  env: { kind: names, help: 'The only variables that are set, or `none`.', otherwise: 'all' },
  scrape: { kind: flag, help: 'Whether to set the `prometheus.io` annotations where the pod has none.', otherwise: 'as the profile says' },
  'cpu-request': { kind: cpu, help: 'CPU set aside for the sidecar.', otherwise: 'as the profile says' },
  'cpu-limit': { kind: cpu, help: 'Most CPU of the sidecar.', otherwise: 'as the profile says' },
  'memory-request': { kind: memory, help: 'Memory set aside for the sidecar.', otherwise: 'as the profile says' },
  'memory-limit': { kind: memory, help: 'Most memory of the sidecar.', otherwise: 'as the profile says' },
  'log-level': { kind: logLevel, help: 'The least severe lines in the log of the sidecar.', otherwise: 'as the profile says' },
  drain: {
    kind: duration({ least: '0s' }),
    help: 'How long running calls may go on after the order to stop; at most what the pod has for it.',
    otherwise: 'as the profile says, or all that the pod has',
  },
} as const

type Table = typeof annotations

/** What the annotations of one pod say; what they do not say is absent. */
export type Tuning = { readonly [Name in keyof Table]?: v.InferOutput<Table[Name]['kind']> }

/** What we write ourselves. A pod that was copied from a running one carries it. */
const marks: readonly string[] = [statusAnnotation, configAnnotation]
const own = Object.keys(annotations)

/** Reads the annotations of a pod; throws a `Denial` with everything that is wrong with them. */
export function tuningOf(written: Raw): Tuning {
  const ours = Object.entries(written).filter(([key]) => key.startsWith(domain) && !marks.includes(key))
  const wrong: string[] = []
  const tuning: Record<string, unknown> = {}
  for (const [key, text] of ours) {
    const short = key.slice(domain.length)
    if (!Object.hasOwn(annotations, short)) {
      wrong.push(`annotation ${shownKey(key)}: ${unknown(key, short)}`)
      continue
    }
    const { kind } = annotations[short as keyof Table]
    const value = typed(kind, text)
    const result = v.safeParse(kind as v.GenericSchema, value)
    if (result.success) tuning[short] = result.output
    else wrong.push(`annotation ${key}: ${sentence(result.issues, text)}`)
  }
  if ('containers' in tuning && 'skip-containers' in tuning) {
    wrong.push(`annotations ${domain}containers and ${domain}skip-containers: write one of the two`)
  }
  if (wrong.length > 0) throw new Denial(wrong.join('; '))
  return tuning as Tuning
}

/** An annotation is always a text, and the settings of a config are not. */
function typed(kind: v.GenericSchema, text: unknown): unknown {
  if (typeof text !== 'string') return text
  const expected = v.safeParse(kind, null).issues?.[0]?.expected
  if (expected === 'number' && /^\d{1,9}$/.test(text)) return Number(text)
  if (expected === 'boolean' && /^(?:true|false)$/.test(text)) return text === 'true'
  return text
}

function sentence(issues: readonly v.BaseIssue<unknown>[], text: unknown): string {
  const path: [v.ObjectPathItem] = [{ type: 'object', origin: 'value', input: {}, key: 'annotation', value: text }]
  const located = issues.map((issue) => ({ ...issue, path }))
  const [problem] = problemsOf(located, [], { value: text, placeOf: () => undefined })
  return (problem?.message ?? '').replace(', without quotes', '')
}

function unknown(key: string, short: string): string {
  if (key === injectLabel) return 'is a label, not an annotation: set it under metadata.labels'
  const near = nearest(short, own)
  return near === undefined
    ? `is not known; known are ${own.map((one) => domain + one).join(', ')}`
    : `is not known; did you mean ${domain}${near}?`
}

const shownKey = (key: string): string => (key.length <= 80 ? key : `${key.slice(0, 80)}…`)

/** The rows of the README. */
export const annotationsTable = (): Markdown => ({
  header: ['annotation', 'what', 'without it'],
  rows: Object.entries(annotations).map(([key, { help, otherwise }]) => [code(domain + key), help, otherwise]),
})

/** What the label of a pod says; throws a `Denial` for a word that nobody would hear. */
export function wishOf(labels: unknown): 'enabled' | 'disabled' | undefined {
  const written = isMapping(labels) ? labels[injectLabel] : undefined
  if (written === undefined || written === 'enabled' || written === 'disabled') return written
  throw new Denial(`label ${injectLabel}: must be enabled or disabled, not ${JSON.stringify(written)}`)
}
