import { samples, type Samples } from './samples.ts'

/** How long first bytes took of late at one upstream, whatever the credential: of each model, as the config calls it. */
export interface FirstBytes {
  readonly took: (model: string, stream: boolean, ms: number) => void
  /** The first event of a stream of this model was not waited for to its end. */
  readonly gaveUp: (model: string) => void
  /** Half of them come sooner; undefined while too few are known. Streams and other answers apart: of those the first byte comes last. */
  readonly usualMs: (model: string, stream: boolean) => number | undefined
  /**
   * Nearly all first events come sooner: of this model once so many are known, until then of all models here together. Undefined while neither
   * is known, and for a model that took longer than the others.
   */
  readonly longMs: (model: string, least: number) => number | undefined
}

/** So many first events are remembered, of each model and of all together: more than a config can ask for before one is known. */
const keptStreams = 200
/** Of other answers only what is usual has to be known. */
const keptOthers = 50
/** Of fewer the median says little. */
const fewest = 10
/** Two kilobytes each, and more than most apps use. A client that makes names up costs no more: those beyond are known together. */
const mostModels = 50

interface Known {
  streams: Samples | undefined
  others: Samples | undefined
  isCut: boolean
}

export function firstBytes(most = mostModels): FirstBytes {
  const models = new Map<string, Known>()
  const beyond = nothing()
  const all = samples(keptStreams)

  const find = (model: string): Known | undefined => models.get(model) ?? (models.size < most ? undefined : beyond)
  const open = (model: string): Known => {
    const known = find(model)
    if (known !== undefined) return known
    const made = nothing()
    models.set(model, made)
    return made
  }

  return {
    took: (model, stream, ms) => {
      const known = open(model)
      if (stream) {
        all.add(ms)
        ;(known.streams ??= samples(keptStreams)).add(ms)
      } else (known.others ??= samples(keptOthers)).add(ms)
    },
    gaveUp: (model) => {
      open(model).isCut = true
    },
    usualMs: (model, stream) => {
      const known = find(model)
      const own = stream ? known?.streams : known?.others
      return own === undefined || own.count() < fewest ? undefined : own.median()
    },
    longMs: (model, least) => {
      const known = find(model)
      if (known?.streams !== undefined && known.streams.count() >= least) return known.streams.p99()
      // By the measure of faster models it would be cut for ever, and never be known.
      return known?.isCut === true || all.count() < least ? undefined : all.p99()
    },
  }
}

const nothing = (): Known => ({ streams: undefined, others: undefined, isCut: false })
