import { provider, rawUpstream } from '../../fixtures/provider.ts'
import type { Owner } from '../../fixtures/providerExchange.ts'
import { tempFile } from '../../fixtures/runOutrider.ts'
import { startSidecar, type Document, type Sidecar } from '../../fixtures/startSidecar.ts'
import { health } from '../../../sidecar/health.ts'
import { curlOf, send, type Asking } from '../asking.ts'
import { sinceStart } from '../callScene.ts'
import type { Chapter, Scene, Seen } from '../scene.ts'

const canary = { name: 'chat', models: ['*'], upstreams: ['fake', 'other'], canary: { upstreams: ['other'], weight: 10 } }
const token = 'the-token'

interface Served {
  readonly sidecar: Sidecar
  readonly port: number
  readonly host: string
}

async function served(t: Owner, tokenText: string | undefined): Promise<Served> {
  const upstream = await provider(t, [])
  const file = tokenText === undefined ? undefined : tempFile(t, 'token', tokenText)
  const document: Document = {
    control: { off: false, port: 0, ...(file !== undefined && { tokenFile: file }) },
    upstreams: [
      { name: 'fake', url: `${upstream.url}/v1` },
      { name: 'other', url: `${upstream.url}/v1` },
    ],
    routes: [canary, { name: 'plain', models: ['m'] }],
    credentials: {},
  }
  const sidecar = await startSidecar(t, upstream.url, document)
  const port = sidecar.proxy.controlPort ?? 0
  return { sidecar, port, host: `localhost:${port}` }
}

interface ControlScene extends Asking {
  readonly says: Scene['says']
  /** What the file of the token holds; undefined for a config without one. */
  readonly holds?: string
  readonly without?: 'a token' | 'a token file'
  readonly host?: string
}

const authorized = { authorization: `Bearer ${token}` }
const seenIt = { ...authorized, 'if-match': '*' }

/** A question to the control port. */
const control = (title: string, { says, holds = token, without, host: named, ...asking }: ControlScene): Scene => ({
  title,
  says,
  play: async (t): Promise<Seen> => {
    const { sidecar, port, host } = await served(t, without === 'a token file' ? undefined : holds)
    const came = await send(t, port, { ...asking, headers: { host: named ?? host, ...asking.headers } })
    return {
      did: curlOf({ ...asking, headers: { ...(named !== undefined && { host: named }), ...asking.headers } }, 9091),
      came,
      log: sinceStart(sidecar.log()),
    }
  },
})

const change = (title: string, body: string, says: Scene['says'], route = 'chat'): Scene =>
  control(title, { method: 'PUT', path: `/control/routes/${route}/weights`, headers: seenIt, body, says })

const admin = (title: string, asking: Asking, says: Scene['says'], draining = false): Scene => ({
  title,
  says,
  play: async (t) => {
    const upstream = await provider(t, [])
    const sidecar = await startSidecar(t, upstream.url, { drain: { idleExit: '10s' } })
    if (draining) void sidecar.proxy.drain()
    const came = await send(t, sidecar.proxy.adminPort, asking)
    return { did: `${draining ? '# after kill -TERM\n' : ''}${curlOf(asking, 9090)}`, came, log: sinceStart(sidecar.log()) }
  },
})

/** What `outrider health` says of an answer of the admin port. */
const asked = (title: string, bytes: string, says: Scene['says']): Scene => ({
  title,
  says,
  play: async (t) => {
    const { port } = await rawUpstream(t, (socket) => void socket.once('data', () => socket.end(bytes)))
    const { line } = await health(new URL(`http://localhost:${port}/readyz`))
    return { did: 'outrider health', came: line, log: [] }
  },
})

export const ports: Chapter = {
  title: 'The admin and the control port',
  scenes: [
    admin('another page of the admin port', { path: '/status' }, ['404', '/readyz']),
    admin('another method', { path: '/metrics', method: 'POST' }, ['405', 'read-only']),
    admin('a probe while the process ends', { path: '/readyz' }, ['503', 'shutting down: calls in flight are being finished'], true),
    asked('health of something that is no sidecar', 'HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope', [
      '404: nope',
      'is this the port of its probes',
    ]),
    asked('health of something that is no HTTP', 'what?\r\n\r\n', ['cannot be asked']),
    control('another host name, as a page of a stranger would come by', { path: '/status', host: 'evil.example', says: ['403', 'Host'] }),
    control('a page of another origin', { path: '/status', headers: { origin: 'https://evil.example' }, says: ['403', 'origin'] }),
    control('a page of another site', { path: '/status', headers: { 'sec-fetch-site': 'cross-site' }, says: ['403', 'site'] }),
    control('a path where nothing is', { path: '/config', says: ['404', '/status'] }),
    control('a route that is not there', { path: '/control/routes/chta', says: ['404', 'chat, plain, default'] }),
    control('a change where no token is configured', {
      method: 'POST',
      path: '/control/routes/chat/promote',
      without: 'a token file',
      says: ['405', 'control.tokenFile'],
    }),
    control('a change without the token', { method: 'POST', path: '/control/routes/chat/promote', says: ['401', 'Bearer TOKEN'] }),
    control('a change while the file of the token is empty', {
      method: 'POST',
      path: '/control/routes/chat/promote',
      holds: '',
      says: ['401', 'is empty'],
    }),
    control('a change while the file of the token holds something else', {
      method: 'POST',
      path: '/control/routes/chat/promote',
      holds: 'two words',
      says: ['401', 'plain ASCII'],
    }),
    control('a change of what cannot be changed', {
      method: 'DELETE',
      path: '/status',
      headers: authorized,
      says: ['405', 'GET and HEAD'],
    }),
    control('an order to quit where that is not allowed', {
      method: 'POST',
      path: '/control/quit',
      headers: authorized,
      says: ['405', 'control.quit'],
    }),
    control('a promotion of a route without a canary', {
      method: 'POST',
      path: '/control/routes/plain/promote',
      headers: authorized,
      says: ['404', 'plain', 'routes[].canary'],
    }),
    control('weights without a word of which were seen', {
      method: 'PUT',
      path: '/control/routes/chat/weights',
      headers: authorized,
      body: '{"weights":{"canary":20}}',
      says: ['428', 'if-match'],
    }),
    control('weights that have changed since', {
      method: 'PUT',
      path: '/control/routes/chat/weights',
      headers: { ...authorized, 'if-match': '"another"' },
      body: '{"weights":{"canary":20}}',
      says: ['412', 'have changed'],
    }),
    control('a body that is too large', {
      method: 'PUT',
      path: '/control/routes/chat/weights',
      headers: seenIt,
      body: 'x'.repeat(17_000),
      shown: '17-KB.json',
      says: ['413', '16384'],
    }),
    change('weights that are no JSON', '{', ['400', 'no JSON']),
    change('a body without weights', '{"weight":20}', ['400', 'no "weights"']),
    change('a body with something else', '{"weights":{"canary":20},"why":"x"}', ['400', 'unknown "why"']),
    change('a reason of two lines', '{"weights":{"canary":20},"reason":"a\\nb"}', ['400', '"reason"']),
    change('a side that is not there', '{"weights":{"canry":20}}', ['400', 'unknown "canry"']),
    change('a weight that is none', '{"weights":{"canary":"20"}}', ['400', '"weights.canary"']),
    change('a stable weight that is none', '{"weights":{"canary":20,"stable":"80"}}', ['400', '"weights.stable"']),
    change('weights that do not add up', '{"weights":{"canary":20,"stable":90}}', ['400', '110']),
    change('weights of an upstream that is not there', '{"weights":{"otehr":2}}', ['400', 'fake, other'], 'plain'),
    change('weights of upstreams that are none', '{"weights":{"other":-1}}', ['400', '0 to 10000'], 'plain'),
    change('no weights at all', '{"weights":{}}', ['400', 'empty'], 'plain'),
    change('weights that leave nothing', '{"weights":{"other":0,"fake":0}}', ['400', 'No upstream'], 'plain'),
  ],
}
