// Plain JavaScript, because an older Node could not even read a .ts file to complain about it.

/** The sentence for a Node that is too old, or undefined for one that will do. */
export function refusal(version, path) {
  if (Number(version.split('.')[0]) >= 26) return undefined
  return (
    `Outrider needs Node 26 or newer; this is Node ${version} (${path}).\n` +
    'npm scripts bring their own Node 26 on Linux and macOS (x64, arm64) and on Windows (x64): ' +
    'run "npm ci" without --omit=optional and start through npm ("npm start", "npm test").\n'
  )
}

const words = refusal(process.versions.node, process.execPath)
if (words !== undefined) {
  process.stderr.write(words)
  process.exit(2)
}
