// A provider in a pod: the one of the demo, which says of every answer which key it saw and which pod it is.
// KEYS holds names and keys, as a=sk-1,b=sk-2; TOKEN_MS says how long each token takes.
import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { answering } from '../../../sidecar/demo/provider.ts'
import { witness } from '../../../sidecar/demo/providerSeen.ts'

const { KEYS = '', TOKEN_MS = '0' } = process.env
const names = new Map(KEYS.split(',').map((pair) => pair.split('=', 2).toReversed() as [string, string]))

const answer = answering({ tokenMs: Number(TOKEN_MS) })
const refuse = answering({ expectKey: 'none that anybody has' })

// Until every kube-proxy has heard that this pod is going, it still gets new connections.
const heardMs = 3_000

const server = createServer((req, res) => {
  const name = names.get(req.headers.authorization?.replace(/^Bearer /, '') ?? '')
  res.setHeader('x-provider-pod', hostname())
  if (name !== undefined) res.setHeader('x-provider-key', name)
  if (req.url === '/healthz') res.end()
  else void (name === undefined ? refuse : answer)(req, res, witness(req, res))
})
server.keepAliveTimeout = 60_000
server.listen(8000, () => console.log('listening'))

process.on('SIGTERM', () => {
  setTimeout(() => {
    // Answers under way are finished; connections without one are closed.
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }, heardMs)
})
