/** What the process ends with: one table for every command, so that a script need not know which one it called. */
export const exitCodes = {
  ok: 0,
  /** Something went wrong while it ran, or a probe got no good answer. */
  failed: 1,
  /** The command line cannot be understood. */
  usage: 2,
  configRefused: 64,
  /** The config is sound by itself, but names what the upstream does not have. */
  unfit: 65,
  /** Something runs with an older config or version than it should. */
  stale: 66,
  rolledBack: 67,
} as const

export const exitCodeHelp = `Exit codes: 0 done; 1 failed while running; 2 the command line is wrong; 64 the config is refused;
65 the config does not fit the upstream; 66 something is stale; 67 rolled back
`
