import type { Path } from './document.ts'
import { isMapping } from './mapping.ts'

interface Found {
  readonly path: Path
  readonly message: string
  readonly wanted?: string
  readonly known?: readonly string[]
}

/** What a canary says beside its route and the upstreams. Reads the document as it was written. */
export function canaryDisagreements(root: Readonly<Record<string, unknown>>): Found[] {
  const known = namesIn(root['upstreams'])
  const routes: unknown[] = Array.isArray(root['routes']) ? root['routes'] : []
  return routes.flatMap((route, at) => {
    if (!isMapping(route) || !isMapping(route['canary'])) return []
    const path: Path = ['routes', at, 'canary']
    const { upstreams, model } = route['canary']
    if (upstreams === undefined && model === undefined) {
      return [{ path, message: 'needs upstreams or model: what is on trial' }]
    }
    const onTrial = textsIn(upstreams)
    const unknown = onTrial.flatMap((wanted, index) =>
      known.includes(wanted) ? [] : [{ path: [...path, 'upstreams', index], message: 'must be the name of an upstream', wanted, known }],
    )
    const all = route['upstreams'] === undefined ? known : textsIn(route['upstreams'])
    const isWhole = onTrial.length > 0 && all.length > 0 && all.every((name) => onTrial.includes(name))
    return isWhole
      ? [...unknown, { path: [...path, 'upstreams'], message: 'are all upstreams of the route: nothing is left for the stable side' }]
      : unknown
  })
}

/** Taken all the same: what is set at run time is lost with the process, or cannot be set at all. */
export function canaryCautions(root: Readonly<Record<string, unknown>>): Found[] {
  const { stateFile, tokenFile } = isMapping(root['control']) ? root['control'] : {}
  if (stateFile === undefined || tokenFile !== undefined) return []
  return [{ path: ['control', 'stateFile'], message: 'keeps rollbacks only: without control.tokenFile nothing can be changed by hand' }]
}

const textsIn = (list: unknown): string[] => (Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [])

const namesIn = (list: unknown): string[] =>
  Array.isArray(list) ? textsIn(list.map((item: unknown) => (isMapping(item) ? item['name'] : undefined))) : []
