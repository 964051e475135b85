/** A comment: readers of events pass over it. */
export const heartbeat = Buffer.from(': still here\n\n')
