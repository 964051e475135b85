import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Change } from './upstream/standing.ts'

interface Hearers {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'changed'>
}

/** One line for each change of what is known of an upstream. */
export const tellChange =
  ({ log: { logger }, metrics }: Hearers) =>
  (change: Change): void => {
    const { upstream, credential, model, from, to, forMs, why } = change
    // Not as `credential`: whatever stands behind that name is taken for a key, and blackened.
    const line = { upstream, ...(credential !== '' && { account: credential }), ...(model !== '' && { model }), from, to, why }
    const back = to === 'healthy' || to === 'slow_start'
    const time = forMs === undefined ? '' : ` for ${(forMs / 1_000).toFixed(1)} s`
    const part = [credential !== '' && `with credential ${credential}`, model !== '' && `for ${model}`].filter(Boolean).join(', ')
    const again = from === 'failing' ? 'answers' : 'is used'
    const told = back ? `upstream ${upstream} ${again} again` : `upstream ${upstream} is ${inWords[to] ?? to}${time}: ${why}`
    logger[back ? 'info' : 'warn'](line, part === '' ? told : `${told} (${part})`)
    metrics.changed(change)
  }

/** Where the name of the state is no word, or not all of it. */
const inWords: Partial<Record<Change['to'], string>> = {
  probation: 'on probation',
  failing: 'failing, and not ejected, for there are too few others',
}
