import type { Path } from './document.ts'
import { isMapping } from './mapping.ts'

interface Found {
  readonly path: Path
  readonly message: string
}

/** Numbers that are written, and used by nothing. */
export function idleCautions(root: Fields): Found[] {
  const { firstEvent = 'adaptive', adaptive } = fields(root['timeouts'])
  const { strategy = 'peak_ewma', peakEwma } = fields(root['routing'])
  const routes: unknown[] = Array.isArray(root['routes']) ? root['routes'] : []
  const strategies = [strategy, ...routes.map((route) => fields(route)['strategy'])]
  return [
    ...(adaptive !== undefined && firstEvent !== 'adaptive'
      ? [{ path: ['timeouts', 'adaptive'], message: 'is used only where timeouts.firstEvent is adaptive' }]
      : []),
    ...(peakEwma !== undefined && !strategies.includes('peak_ewma')
      ? [{ path: ['routing', 'peakEwma'], message: 'is used only where a strategy is peak_ewma, and none is' }]
      : []),
  ]
}

type Fields = Readonly<Record<string, unknown>>

const fields = (value: unknown): Fields => (isMapping(value) ? value : {})
