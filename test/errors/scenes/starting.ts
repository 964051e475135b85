import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import type { Owner } from '../../fixtures/providerExchange.ts'
import { rawUpstream, testCertificates } from '../../fixtures/provider.ts'
import { startSidecar } from '../../fixtures/startSidecar.ts'
import { commandScene, type CommandScene } from '../commandScene.ts'
import type { Chapter, Scene } from '../scene.ts'

async function takenPort(t: Owner): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const answering =
  (answer: string) =>
  async (t: Owner): Promise<number> =>
    (await rawUpstream(t, (socket) => void socket.once('data', () => socket.end(answer)))).port

/** The control port of a sidecar with two canaries. */
async function withCanaries(t: Owner): Promise<number> {
  const canary = { upstreams: ['other'], weight: 10 }
  const { proxy } = await startSidecar(t, 'http://127.0.0.1:9', {
    control: { off: false, port: 0 },
    upstreams: ['fake', 'other'].map((name) => ({ name, url: 'http://127.0.0.1:9/v1' })),
    credentials: {},
    routes: [
      { name: 'chat', models: ['a'], canary },
      { name: 'more', models: ['b'], canary },
      { name: 'plain', models: ['c'] },
    ],
  })
  return proxy.controlPort ?? 0
}

const own = 'admin: { host: 127.0.0.1, port: 0 }\ncontrol: { off: true }\nupstreams: [{ name: a, url: "http://127.0.0.1:9/v1" }]\n'
const base = `listen: { port: 0 }\n${own}`

const start = (title: string, config: string, scene: Omit<CommandScene, 'args' | 'code'> & { code?: number }): Scene =>
  commandScene(title, {
    code: 64,
    args: ['proxy', '--config', '@outrider.yaml'],
    ...scene,
    files: { 'outrider.yaml': config, ...scene.files },
  })

const environment = (title: string, env: Record<string, string>, ...says: string[]): Scene =>
  commandScene(title, { says, code: 64, args: ['proxy'], env })

const json = (status: string, body: string): string =>
  `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`

const kubeconfig = (server: string, namespace?: string): string =>
  JSON.stringify({
    clusters: [{ name: 'c', cluster: { server } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', ...(namespace !== undefined && { namespace }) } }],
    users: [{ name: 'u', user: { token: 'none' } }],
    'current-context': 'x',
  })
const injector = (title: string, files: Record<string, string>, args: readonly string[], ...says: string[]): Scene =>
  commandScene(title, { says, code: 1, args: ['injector', '--image=outrider:1', ...args], files })

const anInjector = [
  'injector',
  '--image=outrider:1',
  '--kubeconfig=@config',
  '--port=0',
  '--host=127.0.0.1',
  '--admin-port=0',
  '--drain=1ms',
]

/** What keeps a process from starting, and what other commands meet. */
export const starting: Chapter = {
  title: 'Starts that fail',
  scenes: [
    start('the port of the app is taken', `listen: { host: 127.0.0.1, port: PORT }\n${own}`, {
      code: 1,
      says: ['Port PORT is taken by', '(process ', 'listen.port'],
      beside: takenPort,
    }),
    start('the admin port is taken', `listen: { port: 0 }\n${own.replace('port: 0', 'port: PORT')}`, {
      code: 1,
      says: ['Port PORT is taken by', 'admin.port'],
      beside: takenPort,
    }),
    start('the control port is taken', `listen: { port: 0 }\n${own.replace('off: true', 'port: PORT')}`, {
      code: 0,
      says: ['Port PORT is taken by', 'control.port', 'control.off'],
      beside: takenPort,
      until: 'listening on',
    }),
    start('an address of another machine', `listen: { port: 0 }\n${own.replace('127.0.0.1', '192.0.2.1')}`, {
      code: 1,
      says: ['192.0.2.1 is no address of this machine', 'admin.host'],
    }),
    commandScene('a config that is not there', {
      says: ['/nowhere.yaml', 'does not exist'],
      code: 64,
      args: ['proxy', '--config', '@nowhere.yaml'],
    }),
    commandScene('a config below a file', {
      says: ['a part of the path is a file'],
      code: 64,
      args: ['proxy', '--config', '@outrider.yaml/outrider.yaml'],
      files: { 'outrider.yaml': base },
    }),
    commandScene('a config whose name no file can have', {
      says: ['cannot be read (ENAMETOOLONG)'],
      code: 64,
      args: ['proxy', '--config', `@${'x'.repeat(256)}`],
    }),
    commandScene('a folder in place of a config', {
      says: ['is a folder'],
      code: 64,
      args: ['proxy', '--config', '@conf.d'],
      files: { 'conf.d/a.yaml': base },
    }),
    start('a config that is no UTF-8', '', { says: ['not UTF-8'], files: { 'outrider.yaml': Buffer.from([0xff, 0xfe, 0x00]) } }),
    start('a config that is far too long', '# '.padEnd(1_100_000, 'x'), { says: ['larger than 1MiB'] }),
    start('an empty config', '\n', { says: ['is empty'] }),
    start(
      'the file of a certificate is not there',
      `listen: { port: 0, tls: { cert: /nowhere/cert.pem, key: /nowhere/key.pem } }\n${own}`,
      {
        says: ['/nowhere/cert.pem listen.tls.cert', 'does not exist'],
      },
    ),
    start('a certificate that is none', `listen: { port: 0, tls: { cert: @/junk.pem, key: @/junk.pem } }\n${own}`, {
      says: ['listen.tls.cert', 'is of no use', 'no PEM'],
      files: { 'junk.pem': 'this is no PEM\n' },
    }),
    commandScene('a certificate that is not that of the key', {
      says: ['listen.tls.cert', 'is not the certificate of the key in listen.tls.key'],
      code: 64,
      args: ['proxy', '--config', '@outrider.yaml'],
      files: {
        'outrider.yaml': `listen: { port: 0, tls: { cert: @/server.crt, key: @/other.key } }\n${own}`,
        'server.crt': testCertificates().server.cert,
        'other.key': testCertificates().stranger.key,
      },
    }),
    start('the file of authorities is not there', `${base}network: { ca: /nowhere/ca.pem }\n`, { says: ['network.ca', 'does not exist'] }),
    start('the file of clients is not there', `${base}clientsFile: /nowhere/clients.yaml\n`, {
      says: ['/nowhere/clients.yaml clientsFile: does not exist'],
    }),
    start('the file of clients is wrong', `${base}clientsFile: @/clients.yaml\n`, {
      says: ['clients.yaml', 'SHA-256'],
      files: { 'clients.yaml': '- { name: app, sha256: secret }\n' },
    }),
    start(
      'the state of canaries cannot be read, and the token is not there: it starts all the same',
      `${base.replace('off: true', 'port: 0, stateFile: @/state.json, tokenFile: @/tokn')}`,
      { code: 0, says: ['/state.json', '/tokn does not exist', 'token'], files: { 'state.json': '{', token: 'x' }, until: 'listening on' },
    ),
    start('a variable that the config does not take', base, {
      code: 0,
      says: ['OPENAI_API_KEY', 'does nothing beside a config file'],
      env: { OPENAI_API_KEY: 'sk-a' },
      until: 'listening on',
    }),
    environment('an environment that says nothing', {}, 'has neither a key nor a URL', '--config FILE'),
    environment('a key that is there, but empty', { OPENAI_API_KEY: '' }, 'OPENAI_API_KEY is there, but empty'),
    environment('two keys that differ', { API_KEY: 'one', OPENAI_API_KEY: 'two', BASE_URL: 'https://a.example' }, 'contradict each other'),
    environment('the keys of two providers', { OPENAI_API_KEY: 'one', HOLYSHEEP_API_KEY: 'one' }, 'name two providers', 'BASE_URL'),
    environment('a key that says no provider', { API_KEY: 'one' }, 'API_KEY: does not say where calls go'),
    environment(
      'all that can be wrong at once',
      {
        API_KEY: 'one',
        BASE_URL: 'api.example',
        REQUEST_TIMEOUT: 'soon',
        MAX_RETRIES: '10',
        LOG_LEVEL: 'loud',
        PORT: '99999',
        HTTPS_PROXY: 'proxy:3128',
        NO_PROXY: 'a/b',
        DEFAULT_MODEL: 'two words',
        FALLBACK_MODEL: 'a b',
      },
      'BASE_URL: must be a whole URL',
      'REQUEST_TIMEOUT: must be seconds',
      'MAX_RETRIES: must be a whole number from 0 to 9',
      'LOG_LEVEL: must be one of',
      'PORT: must be a whole number',
      'HTTPS_PROXY',
      'NO_PROXY',
      'DEFAULT_MODEL',
      'FALLBACK_MODEL',
    ),
    commandScene('a URL and no key: it starts all the same', {
      says: ['has a URL but no key'],
      code: 0,
      args: ['proxy'],
      env: { BASE_URL: 'http://127.0.0.1:9/v1', PORT: '0', ADMIN_PORT: '0' },
      until: 'listening on',
    }),
    environment(
      'the port of the app is that of the probes',
      { API_KEY: 'a', BASE_URL: 'http://a', PORT: '9090' },
      'PORT: is 9090',
      'ADMIN_PORT',
    ),
    environment(
      'the port of the app is that of the status',
      { API_KEY: 'a', BASE_URL: 'http://a', PORT: '9091' },
      'PORT: is 9091',
      'control.port',
    ),
    commandScene('health where nobody listens', {
      says: ['nobody listens there'],
      code: 1,
      args: ['health', '--url', 'http://127.0.0.1:9'],
    }),
    commandScene('canary where nobody listens', {
      says: ['cannot be asked', '--control'],
      code: 1,
      args: ['canary', 'status', '--control', 'http://127.0.0.1:9'],
    }),
    commandScene('canary with a file of the token that is not there', {
      says: ['The token file', 'does not exist', 'token'],
      code: 1,
      args: ['canary', 'promote', '--token-file', '@tokn', '--control', 'http://127.0.0.1:9'],
      files: { token: 'x' },
    }),
    commandScene('canary with a file that holds no token', {
      says: ['holds no token'],
      code: 1,
      args: ['canary', 'promote', '--token-file', '@token', '--control', 'http://127.0.0.1:9'],
      files: { token: 'two words' },
    }),
    ...(
      [
        ['canary of a route that has none', ['status', '--route', 'plain'], 'The route plain has no canary'],
        ['canary where several routes have one', ['watch'], 'name one with --route (chat, more)'],
        [
          'canary at another version than was meant',
          ['reset', '--route', 'chat', '--version', '9', '--token-file', '@token'],
          'is at version 1 (as configured), not 9: nothing was changed',
        ],
      ] as const
    ).map(([title, args, says]) =>
      commandScene(title, {
        says: [says],
        code: 1,
        args: ['canary', ...args, '--control', 'http://127.0.0.1:PORT'],
        files: { token: 'the-token' },
        beside: withCanaries,
      }),
    ),
    ...(
      [
        ['canary at something else', json('200 OK', '{}'), 'not as Outrider of this version does'],
        ['canary where no route has one', json('200 OK', '{"routes":[]}'), 'No route of this process has a canary'],
        [
          'canary with the wrong token, or another refusal',
          json('401 Unauthorized', '{"error":"A change needs the token"}'),
          'answers 401: A change needs the token',
        ],
      ] as const
    ).map(([title, answer, says]) =>
      commandScene(title, {
        says: [says],
        code: 1,
        args: ['canary', 'watch', '--for', '1s', '--control', 'http://127.0.0.1:PORT'],
        beside: answering(answer),
      }),
    ),
    injector('an injector whose kubeconfig is not there', {}, ['--kubeconfig=@config'], 'The kubeconfig', 'does not exist'),
    injector('an injector whose kubeconfig is none', { config: '{' }, ['--kubeconfig=@config'], 'is no kubeconfig'),
    injector('an injector whose kubeconfig names no cluster', { config: '{}' }, ['--kubeconfig=@config'], 'kubeconfig'),
    injector(
      'an injector with an API server without TLS',
      { config: kubeconfig('http://127.0.0.1:9') },
      ['--kubeconfig=@config'],
      'https URL',
    ),
    injector(
      'an injector that does not know its namespace',
      { config: kubeconfig('https://127.0.0.1:9') },
      ['--kubeconfig=@config'],
      '--namespace',
    ),
    commandScene('an injector whose certificate is not there', {
      says: ['/cert.pem does not exist; until there is a certificate, the webhook answers nobody'],
      code: 0,
      args: [...anInjector, '--certificate=files', '--cert=@cert.pem', '--key=@key.pem'],
      files: { config: kubeconfig('https://127.0.0.1:9', 'outrider') },
      until: 'does not exist',
    }),
    commandScene('an injector whose kubeconfig is broken in the line of its token', {
      says: ['is no kubeconfig', '(4:1)'],
      code: 1,
      args: ['injector', '--image=outrider:1', '--kubeconfig=@config'],
      files: { config: 'users:\n  - name: u\n    user: { token: "secret-token }\n' },
    }),
    commandScene('an injector whose port is taken', {
      says: ['Port PORT is taken', '--admin-port'],
      code: 1,
      args: ['injector', '--image=outrider:1', '--kubeconfig=@config', '--port=0', '--host=127.0.0.1', '--admin-port=PORT'],
      files: { config: kubeconfig('https://127.0.0.1:9', 'outrider') },
      beside: takenPort,
    }),
    commandScene('an injector that cannot reach the API server', {
      says: ['cannot be reached'],
      code: 0,
      args: anInjector,
      files: { config: kubeconfig('https://127.0.0.1:9', 'outrider') },
      until: 'cannot be reached',
    }),
  ],
}
