import type { Path } from './document.ts'
import { isMapping } from './mapping.ts'
import { configSchema } from './schema.ts'
import { durationPattern, formatDuration, parseDuration } from './units.ts'

interface Found {
  readonly path: Path
  readonly message: string
}

type Fields = Readonly<Record<string, unknown>>

/** What grows, or is drawn, begins at the first and ends at the second. */
const ranges: readonly (readonly [section: string, from: string, to: string])[] = [
  ['retry', 'backoff', 'longestBackoff'],
  ['retry', 'throttledBackoff', 'longestBackoff'],
  ['health', 'ejection', 'longestEjection'],
  ['health', 'exhausted', 'longestExhausted'],
  ['health.limited', 'guess', 'longestGuess'],
  ['health.limited', 'overload', 'longestOverload'],
]

/** Bounds that are below what they bound, one of them perhaps by default. Reads the document as it was written. */
export function boundDisagreements(root: Fields): Found[] {
  return ranges.flatMap(([section, from, to]) => {
    const path = section.split('.')
    const [least, most] = [waitAt(root, [...path, from]), waitAt(root, [...path, to])]
    if (least === undefined || most === undefined || least.ms <= most.ms) return []
    return most.written
      ? [{ path: [...path, to], message: `is shorter than ${from}, which is ${said(least)}` }]
      : [{ path: [...path, from], message: `is longer than ${to}, which is ${said(most)}` }]
  })
}

/** Taken all the same, and hardly meant so. */
export function boundCautions(root: Fields): Found[] {
  const { attempts = presetAt(['retry', 'attempts']), attemptsIfRepeated } = fieldsAt(root, ['retry'])
  const isMoot = typeof attempts === 'number' && typeof attemptsIfRepeated === 'number' && attemptsIfRepeated > attempts
  return [
    ...(isMoot ? [{ path: ['retry', 'attemptsIfRepeated'], message: `is more than attempts: ${attempts} is what counts` }] : []),
    ...tooShort(root),
    ...noTimeLeft(root),
  ]
}

/** At a host that is not there any more each call would take as long as the first, one beside the other. */
function tooShort(root: Fields): Found[] {
  const probation = waitAt(root, ['health', 'probation'])
  const connect = waitAt(root, ['timeouts', 'connect'])
  if (probation === undefined || connect === undefined || probation.ms > connect.ms) return []
  const message = 'while the first call at a host that is gone still tries to connect, others follow it'
  return probation.written
    ? [{ path: ['health', 'probation'], message: `is not longer than timeouts.connect, which is ${said(connect)}: ${message}` }]
    : [{ path: ['timeouts', 'connect'], message: `is not shorter than health.probation, which is ${said(probation)}: ${message}` }]
}

function noTimeLeft(root: Fields): Found[] {
  const least = waitAt(root, ['retry', 'leastLeft'])
  return ['total', 'streamTotal'].flatMap((name) => {
    const most = waitAt(root, ['timeouts', name])
    if (least === undefined || most === undefined || least.ms < most.ms) return []
    return least.written
      ? [{ path: ['retry', 'leastLeft'], message: `is not shorter than timeouts.${name}, which is ${said(most)}: nothing is tried again` }]
      : [{ path: ['timeouts', name], message: `is not longer than retry.leastLeft, which is ${said(least)}: nothing is tried again` }]
  })
}

interface Wait {
  readonly ms: number
  readonly written: boolean
}

const said = ({ ms, written }: Wait): string => `${formatDuration(ms)}${written ? '' : ' unless it is set too'}`

/** Undefined where what stands there is no duration: that is told by itself. */
function waitAt(root: Fields, path: readonly string[]): Wait | undefined {
  const text = fieldsAt(root, path.slice(0, -1))[path.at(-1) ?? '']
  const used = text === undefined ? presetAt(path) : text
  return typeof used === 'string' && durationPattern.test(used) ? { ms: parseDuration(used), written: text !== undefined } : undefined
}

function presetAt(path: readonly string[]): unknown {
  let schema: unknown = configSchema
  let preset: unknown
  for (const name of path) {
    const entry = fieldsAt(isMapping(schema) ? schema : {}, ['entries'])[name]
    preset = isMapping(entry) ? entry['default'] : undefined
    schema = isMapping(entry) ? entry['wrapped'] : undefined
  }
  return preset
}

function fieldsAt(root: Fields, path: readonly string[]): Fields {
  let at: unknown = root
  for (const name of path) at = isMapping(at) ? at[name] : undefined
  return isMapping(at) ? at : {}
}
