import { readdir as readdirOf, readFile as readFileOf, stat as statOf } from 'node:fs'
import { promisify } from 'node:util'

// What every sidecar does when it starts. Node's own promises for files bring its readline with them: a quarter of a MiB of every pod. Who
// needs more of them asks node:fs for its `promises`, late.
export const readFile = promisify(readFileOf)
export const readdir = promisify(readdirOf)
export const stat = promisify(statOf)
