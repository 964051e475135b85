/** One thing that is wrong with a config. */
export interface Problem {
  /** Where it is, such as `upstreams[0].url`; empty for the document as a whole. */
  readonly path: string
  readonly message: string
  /** Counted from 1; absent where the text was JSON or there is no text. */
  readonly line?: number
  readonly column?: number
}

/** A config that is not taken, with everything that is wrong with it. The message is ready to print and never holds a key. */
export class ConfigRefused extends Error {
  override readonly name = 'ConfigRefused'
  readonly problems: readonly Problem[]

  constructor(source: string, problems: readonly Problem[]) {
    super(problems.map((problem) => describe(source, problem)).join('\n'))
    this.problems = problems
  }
}

/** One line: `outrider.yaml:4:5 upstreams[0].ulr: unknown key`. */
export function describe(source: string, { path, message, line, column }: Problem): string {
  const place = line === undefined ? source : `${source}:${line}:${column ?? 1}`
  return `${path ? `${place} ${path}` : place}: ${message}`
}
