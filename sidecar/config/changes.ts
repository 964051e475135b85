import type { Config } from './config.ts'
import type { Path } from './document.ts'
import { isMapping } from './mapping.ts'
import { spelled } from './problems.ts'
import { showable } from './showable.ts'
import { configSchema } from './schema.ts'
import { durationPattern, formatDuration, formatSize, sizePattern } from './units.ts'

/** Beyond this, a list of changes is read by nobody. */
const mostTold = 50

/** What differs between two configs, one sentence each, as a person would write the values: `timeouts.total: 600s → 30s`. Never shows a key. */
export function changesBetween(before: Config, after: Config): string[] {
  const all = differences(before, after, [])
  return all.length > mostTold ? [...all.slice(0, mostTold), `and ${all.length - mostTold} more`] : all
}

function differences(before: unknown, after: unknown, path: Path): string[] {
  const [one, other] = [byName(before), byName(after)]
  if (isMapping(one) && isMapping(other) && isSection(path)) {
    const names = [...new Set([...Object.keys(one), ...Object.keys(other)])]
    return names.flatMap((name) => differences(one[name], other[name], [...path, name]))
  }
  if (JSON.stringify(before) === JSON.stringify(after)) return []
  const where = spelled(path)
  if (before === undefined) return [`${where}: ${shown(after, path)} is new`]
  if (after === undefined) return [`${where}: ${shown(before, path)} is gone`]
  const [from, to] = [shown(before, path), shown(after, path)]
  return [from === to ? `${where}: ${from} → another` : `${where}: ${from} → ${to}`]
}

/** Of a list with names, the names say more than the places. */
function byName(value: unknown): unknown {
  if (!Array.isArray(value) || value.length === 0) return value
  const named = value.every((item): item is { name: string } => isMapping(item) && typeof item['name'] === 'string')
  return named ? Object.fromEntries(value.map((item) => [item.name, item])) : value
}

/** What the schema makes one value of (a share of the memory) is told as one value. */
const isSection = (path: Path): boolean => unitAt(path) === undefined

function shown(value: unknown, path: Path): string {
  if (path[0] === 'credentials' && path.at(-1) === 'value') return '(a secret)'
  if (Array.isArray(value)) return `[${value.map((item) => shown(item, path)).join(', ')}]`
  if (isMapping(value) && isSection(path)) {
    return `{ ${Object.entries(value)
      .map(([name, item]) => `${name}: ${shown(item, [...path, name])}`)
      .join(', ')} }`
  }
  const unit = unitAt(path)
  // Where a word may stand in place of a duration or a size, it is `off` that becomes none.
  if (unit?.endsWith('OrOff') && value === 0) return 'off'
  if (unit?.startsWith('duration') && typeof value === 'number') return value === 0 ? '0s' : formatDuration(value)
  if (unit?.startsWith('size')) return sizeShown(value)
  return typeof value === 'string' ? textShown(value) : JSON.stringify(value)
}

function sizeShown(value: unknown): string {
  if (typeof value === 'number') return formatSize(value)
  if (!isMapping(value)) return JSON.stringify(value)
  return typeof value['bytes'] === 'number' ? formatSize(value['bytes']) : `${Math.round(Number(value['share']) * 100)}%`
}

/** A URL may have a key in its query or a password in front of its host, and people paste keys into the wrong place. */
function textShown(text: string): string {
  const url = /^https?:/.test(text) ? URL.parse(text) : null
  if (url === null) return showable(text, 200) ? text : `a text of ${text.length} characters`
  if (url.username !== '' || url.password !== '') {
    url.username = '***'
    url.password = ''
  }
  for (const name of new Set(url.searchParams.keys())) if (name !== 'api-version') url.searchParams.set(name, '***')
  return url.href.replace(/\/$/, text.endsWith('/') ? '/' : '')
}

type Unit = 'duration' | 'durationOrOff' | 'size' | 'sizeOrOff'

/** A node of the schema, as far as it is walked here. */
interface Node {
  readonly entries?: Readonly<Record<string, Node>>
  readonly wrapped?: Node
  readonly value?: Node
  readonly item?: Node
  readonly pipe?: readonly Node[]
  readonly requirement?: unknown
}

/** In which unit a setting is written: the schema knows, since it reads it. */
function unitAt(path: Path): Unit | undefined {
  let nodes = parts(configSchema as unknown as Node)
  for (const step of path) {
    nodes = nodes.flatMap((node) => {
      const next = node.entries === undefined ? (node.item ?? node.value) : node.entries[step]
      return next === undefined ? [] : parts(next)
    })
  }
  for (const { requirement } of nodes) {
    if (!(requirement instanceof RegExp)) continue
    if (requirement.source === durationPattern.source) return 'duration'
    if (requirement.source.endsWith(durationPattern.source)) return 'durationOrOff'
    if (requirement.source.startsWith('^off$|') && requirement.source.endsWith(sizePattern.source)) return 'sizeOrOff'
    if (requirement.source.endsWith(sizePattern.source)) return 'size'
  }
  return undefined
}

function parts(node: Node): Node[] {
  return [
    node,
    ...(node.wrapped === undefined ? [] : parts(node.wrapped)),
    ...(node.pipe ?? []).flatMap((part) => (part === node ? [] : parts(part))),
  ]
}
