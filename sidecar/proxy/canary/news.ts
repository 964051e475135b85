import type { Log } from '../../observe/log.ts'
import type { Change } from './trial.ts'

/** One line for each change of a canary, and a warning where something has gone wrong with it. */
export const sayCanary =
  ({ logger }: Pick<Log, 'logger'>) =>
  ({ trial: { route }, before, after, automatic }: Change): void => {
    const { weight, state, version, why } = after
    const line = { event: 'canary', route, state, weight, weight_before: before.weight, version, automatic, why }
    const said = state === before.state ? `has the weight ${weight} now, after ${before.weight}` : news[state](weight)
    logger[state === 'rolled_back' ? 'warn' : 'info'](line, `the canary of route ${route} ${said}: ${why}`)
  }

const news = {
  running: (weight: number) => `gets ${weight} of a hundred calls`,
  rolled_back: () => 'is rolled back and gets no calls',
  promoted: () => 'is promoted and gets all calls',
} as const
