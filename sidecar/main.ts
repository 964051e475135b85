import { commandLine } from './commandLine.ts'

// What cannot happen ends the process: Kubernetes starts a new one, and a half-broken one would serve half-broken calls.
process.on('uncaughtException', (err: unknown) => {
  process.stderr.write(`Outrider stops because of a defect: ${err instanceof Error ? (err.stack ?? err.message) : String(err)}\n`)
  process.exit(1)
})

// A supervisor that closes its end of the log must not take the calls with it.
for (const out of [process.stdout, process.stderr]) out.on('error', () => {})

// Not awaited: a bundle in CommonJS has no await outside of functions.
void commandLine(process.argv.slice(2), process.env).then((code) => {
  process.exitCode = code
})
