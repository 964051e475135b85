import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { test } from 'node:test'
import { testCertificates } from '../fixtures/providerTls.ts'
import { review, served } from './served.ts'

// An API server keeps its connection and sends one review after the other on it. A replica that was told to stop closed it between two of them,
// now and then just as the next was written: a failed admission in one of seven rollouts.
test('a replica that leaves is left by those who ask it: each further answer is the last on its connection', async (t) => {
  const webhook = await served(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => {
    agent.destroy()
  })
  const ask = async (): Promise<{ status: number | undefined; connection: string | undefined; port: number | undefined }> => {
    const options = { host: '127.0.0.1', port: webhook.port, path: '/inject', method: 'POST', ca: testCertificates().ca.cert, agent }
    const req = request({ ...options, headers: { 'content-type': 'application/json' } })
    req.end(review())
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    const port = res.socket.localPort
    await res.resume().toArray()
    return { status: res.statusCode, connection: res.headers.connection, port }
  }
  const first = await ask()
  assert.deepEqual([first.status, first.connection], [200, 'keep-alive'])
  webhook.leave()
  const second = await ask()
  assert.deepEqual([second.status, second.connection, second.port], [200, 'close', first.port])
  assert.notEqual((await ask()).port, first.port)
})
