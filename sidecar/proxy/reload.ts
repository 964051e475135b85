import { hash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import type { Followed } from '../config/follow.ts'
import type { Say } from './serving.ts'

/** How the config came to be what it is; for metrics and whoever looks. */
export interface ConfigState {
  readonly hash: string
  /** Since the epoch. */
  readonly loadedMs: number
  readonly reloads: { readonly applied: number; readonly unchanged: number; readonly refused: number }
  /** Why the last one was refused; empty when it was not. */
  readonly problems: readonly string[]
}

export interface Reload {
  readonly state: () => ConfigState
  /** Reads the config again, changed or not. */
  readonly now: () => Promise<void>
  readonly close: () => void
}

export interface ReloadOptions {
  readonly source: Followed | undefined
  /** What has been said of the config so far. */
  readonly warnings: readonly string[]
  readonly current: () => Config
  /** Goes over to another config, whole or not at all: throws `ConfigRefused` and leaves everything as it was. */
  readonly apply: (next: Config) => Promise<void>
  readonly say: Say
}

/** Takes up a config when it changes. A bad one is refused whole and said once, with all that is wrong, and the last good one stays. */
export function reload({ source, warnings: first, current, apply, say }: ReloadOptions): Reload {
  let state: ConfigState = {
    hash: hashOf(current()),
    loadedMs: Date.now(),
    reloads: { applied: 0, unchanged: 0, refused: 0 },
    problems: [],
  }
  let refusal = ''
  let warned = first
  let closed = false

  const done = (result: keyof ConfigState['reloads'], problems: readonly string[] = []): void => {
    const reloads = { ...state.reloads, [result]: state.reloads[result] + 1 }
    state = { hash: hashOf(current()), loadedMs: result === 'refused' ? state.loadedMs : Date.now(), reloads, problems }
  }

  const attempt = async (from: Followed, forced: boolean): Promise<void> => {
    let named: readonly string[] = []
    try {
      const { config, warnings } = await from.load()
      if (closed) return
      named = filesOf(config)
      const same = hashOf(config) === hashOf(current())
      if (!same) await apply(config)
      if (closed) return
      from.watchToo([])
      done(same ? 'unchanged' : 'applied')
      // As wrong as before is no news.
      for (const warning of warnings) if (!warned.includes(warning)) say('warn', warning)
      warned = warnings
      if (same && (forced || refusal !== '')) say('info', `${from.name} was read again: it says what is in use already`)
      refusal = ''
    } catch (err) {
      if (closed) return
      // What it names may come later than itself, as a Secret after the ConfigMap that speaks of it. Once more, as it may just have come.
      if (from.watchToo(named)) return attempt(from, forced)
      const message = err instanceof Error ? err.message : String(err)
      const problems = message.split('\n')
      done('refused', problems)
      if (message !== refusal || forced) say('error', `the config is refused, the one from before stays in use: ${problems.join('; ')}`)
      refusal = message
    }
  }

  // One after the other, so that the last one stays.
  let turn = Promise.resolve()
  const next = (forced: boolean): Promise<void> => {
    if (source === undefined) {
      say('warn', 'there is no config file to be read again')
      return turn
    }
    turn = turn.then(() => (closed ? undefined : attempt(source, forced)))
    return turn
  }
  source?.onChange(() => {
    void next(false)
  })
  return {
    state: () => state,
    now: () => next(true),
    close: () => {
      closed = true
      source?.close()
    },
  }
}

/** Enough to tell one config from another, and too little to guess a key by. */
const hashOf = (config: Config): string => hash('sha256', JSON.stringify(config)).slice(0, 12)

/** The files without which a config may be of no use. */
function filesOf({ credentials, clientsFile, listen, network, upstreams }: Config): string[] {
  const keys = Object.values(credentials).map((source) => ('file' in source ? source.file : undefined))
  const pairs = [listen.tls, ...upstreams.map(({ tls }) => tls)].flatMap((tls) => [tls?.cert, tls?.key])
  const roots = [network.ca, ...upstreams.map(({ tls }) => tls?.ca)]
  return [clientsFile, ...keys, ...pairs, ...roots].filter((file) => file !== undefined)
}
