import type * as v from 'valibot'
import type { Finding } from './agreement.ts'
import type { Document, Path } from './document.ts'
import { isMapping } from './mapping.ts'
import { nearest } from './nearest.ts'
import type { Problem } from './refused.ts'
import { longestName, longestValue, showable } from './showable.ts'

type Issue = v.BaseIssue<unknown>

// Nobody mends more in one go, and a document of nothing but mistakes must not cost minutes.
const mostTold = 100

/**
 * Every issue of the schema and every finding, as sentences with their places, in the order of the text. Of a place in `unknown`, whose value
 * is not known, nothing else is said.
 */
export function problemsOf(
  issues: readonly Issue[],
  findings: readonly Finding[],
  document: Document,
  unknown: readonly Finding[] = [],
): Problem[] {
  const broken = issues.flatMap(flat).map((issue) => ({ path: pathOf(issue), message: sentence(issue, document) }))
  const refused = [...unknown, ...broken.filter(({ path }) => !unknown.some((place) => spelled(place.path) === spelled(path)))]
  // A value that is wrong by itself cannot be expected to fit the others.
  const rest = findings.filter(({ path }) => !refused.some((issue) => spelled(issue.path) === spelled(path)))
  const all = [...unrepeated(refused), ...rest.map((finding) => ({ path: finding.path, message: proposal(finding, document) }))]
  const told = all
    .slice(0, mostTold)
    .map(({ path, message }) => ({ path: spelled(path), message, ...document.placeOf(path) }))
    .toSorted((one, other) => (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0))
  return all.length > mostTold ? [...told, { path: '', message: `and ${all.length - mostTold} more` }] : told
}

/** A union says nothing of its parts; where a mapping was written, the part that takes a mapping knows better. */
function flat(issue: Issue): Issue[] {
  if (issue.type !== 'union' || !isMapping(issue.input) || !issue.issues) return [issue]
  const above = issue.path ?? []
  return issue.issues.filter(({ path }) => path).map((part) => ({ ...part, path: joined(above, part.path ?? []) }))
}

function joined(above: readonly v.IssuePathItem[], below: readonly v.IssuePathItem[]): Issue['path'] {
  const [first, ...others] = [...above, ...below]
  return first && [first, ...others]
}

function pathOf(issue: Issue): Path {
  return (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : String(key)))
}

function sentence(issue: Issue, document: Document): string {
  if (issue.expected === 'never' && Array.isArray(issue.requirement)) return unknownKey(String(issue.input), issue.requirement.map(String))
  if (issue.input === undefined) return 'is missing'
  // As it was written: a duration that is out of bounds has become milliseconds by now.
  const written = issue.path?.at(-1)?.value ?? issue.input
  if (written === null) return 'is empty: fill it in or leave it out'
  // Of what stands under credentials nothing is shown, however short.
  if (!issue.message.startsWith('must be') || pathOf(issue)[0] === 'credentials') return issue.message
  const origin = document.originOf?.(pathOf(issue))
  if (origin !== undefined) return `${issue.message}, not ${origin}`
  return `${issue.message}, not ${show(written)}${meant(issue, written)}`
}

/** For a word that is one of few. */
function meant(issue: Issue, written: unknown): string {
  const choice = issue.type === 'picklist' ? issue : issue.issues?.find(({ type }) => type === 'picklist')
  if (choice === undefined || typeof written !== 'string') return ''
  const near = nearest(
    written,
    [...(choice.expected ?? '').matchAll(/"([^"]*)"/g)].map(([, word = '']) => word),
  )
  return near === undefined ? '' : `; did you mean "${near}"?`
}

function unknownKey(key: string, known: readonly string[]): string {
  const same = known.find((name) => name.toLowerCase() === key.replaceAll(/[-_. ]/g, '').toLowerCase())
  if (same) return `unknown key; keys are camelCase: write "${same}"`
  const near = nearest(key, known)
  return near ? `unknown key; did you mean "${near}"?` : `unknown key; known here: ${known.join(', ')}`
}

function proposal({ path, message, wanted, known = [] }: Finding, document: Document): string {
  if (wanted === undefined) return message
  const names = known.filter((name) => showable(name, longestName))
  const origin = document.originOf?.(path)
  if (origin !== undefined) return `${message}, not ${origin}; declared: ${names.join(', ') || 'nothing'}`
  const near = nearest(wanted, names)
  const declared = names.length > 0 ? `declared: ${names.join(', ')}` : 'nothing is declared there'
  return `${message}, not ${show(wanted)}; ${near ? `did you mean "${near}"? ` : ''}${declared}`
}

/** One rule can be broken in two ways at once (no URL, no https); one sentence is enough. */
function unrepeated<Item extends { path: Path; message: string }>(list: readonly Item[]): Item[] {
  const seen = new Set<string>()
  return list.filter(({ path, message }) => {
    const key = `${spelled(path)} ${message}`
    return !seen.has(key) && seen.add(key)
  })
}

/** A value as far as it may be shown: what could be a key is only described. */
function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'string') return showable(value, longestValue) ? JSON.stringify(value) : `a text of ${value.length} characters`
  if (typeof value === 'number') return Math.abs(value) < 1e9 ? String(value) : 'a number of that size'
  return typeof value === 'boolean' ? String(value) : 'a mapping'
}

/** `upstreams[0].url`; a name that could be a key is replaced by its length. */
export function spelled(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (!showable(step, longestName)) return `[a name of ${step.length} characters]`
      if (!/^[\w-]+$/.test(step)) return `[${JSON.stringify(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
}
