/** The API server said no, or could not be asked. */
export class KubeError extends Error {
  override readonly name = 'KubeError'
  /** Undefined where there was no answer. */
  readonly status: number | undefined

  constructor(message: string, status?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.status = status
  }
}

export const isStatus = (err: unknown, status: number): boolean => err instanceof KubeError && err.status === status
