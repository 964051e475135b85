import { commandLine } from './commandLine.ts'

// What cannot happen ends the process: Kubernetes starts a new one, and a half-broken one would serve half-broken calls.
process.on('uncaughtException', (err) => {
  process.stderr.write(`Outrider stops because of a defect: ${err.stack ?? String(err)}\n`)
  process.exit(1)
})

// A supervisor that closes its end of the log must not take the calls with it.
process.stdout.on('error', () => {})

process.exitCode = await commandLine(process.argv.slice(2), process.env)
