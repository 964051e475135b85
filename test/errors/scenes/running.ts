import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removing } from '../../fixtures/closing.ts'
import { answers, provider, testCertificates } from '../../fixtures/provider.ts'
import type { Owner } from '../../fixtures/providerExchange.ts'
import { runOutrider, tempFile, type Outrider } from '../../fixtures/runOutrider.ts'
import { testKey, type Document } from '../../fixtures/startSidecar.ts'
import { chatCall, send } from '../asking.ts'
import type { Chapter, Scene } from '../scene.ts'

interface RunningScene {
  readonly says: Scene['says']
  readonly did: string
  /** Files in the folder, and what the config says of them. */
  readonly files?: Readonly<Record<string, string>>
  readonly document?: (folder: string) => Document
  readonly upstream?: (t: Owner) => Promise<string>
  /** The last words to wait for. */
  readonly until: string
  readonly act: (running: { readonly outrider: Outrider; readonly folder: string; readonly t: Owner }) => unknown
  readonly node?: string
}

/** What an error does to a process that runs: a line of the log, and it goes on. */
const running = (title: string, { says, did, files = {}, document, upstream, until, act, node }: RunningScene): Scene => ({
  title,
  says,
  play: async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'))
    removing(t, () => {
      rmSync(folder, { recursive: true, force: true })
    })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const put = (text: string): string => {
      writeFileSync(join(folder, 'outrider.json'), text)
      return join(folder, 'outrider.json')
    }
    const outrider = await runOutrider(t, (await upstream?.(t)) ?? 'http://127.0.0.1:9', document?.(folder), {
      put,
      ...(node !== undefined && { node: ['--import', tempFile(t, 'defect.mjs', node)] }),
    })
    await act({ outrider, folder, t })
    // Of a process that ends, all it has said.
    await outrider.printed(until)
    if (node !== undefined) await outrider.exit
    const lines = outrider.stdout().trimEnd().split('\n')
    // What is told of the calls themselves stands in other chapters.
    const log = lines
      .slice(lines.findIndex((line) => line.includes('listening on')) + 1)
      .filter((line) => !/"level":"info"|"msg":"call"/.test(line))
    const came = outrider.stderr().replaceAll(folder, '').trimEnd()
    return { did, came: came === '' ? '(nothing: see the log)' : came, log: log.map((line) => line.replaceAll(folder, '')) }
  },
})

const reloaded = (title: string, config: string, says: Scene['says']): Scene =>
  running(title, {
    says: ['the config is refused, the one from before stays in use', ...says],
    did: `# /outrider.json becomes: ${config}\nkill -HUP 1`,
    until: 'is refused',
    act: ({ outrider, folder }) => {
      writeFileSync(join(folder, 'outrider.json'), config)
      outrider.child.kill('SIGHUP')
    },
  })

const { server, stranger } = testCertificates()

export const whileRunning: Chapter = {
  title: 'What the log says while it runs',
  scenes: [
    reloaded('a new config that is wrong', '{ "upstreams": [], "lgo": {} }', ['upstreams: is empty', 'lgo: unknown key; did you mean']),
    reloaded('a new config that is no YAML', 'log: { level: "info }\n', ['/outrider.json:2:1: is not YAML']),
    running('a new config with another port', {
      says: ['the config is refused', 'listen.port: cannot change while the proxy runs (0 → 8081): restart it for that'],
      did: '# /outrider.json says listen.port: 8081 now\nkill -HUP 1',
      until: 'is refused',
      act: ({ outrider, folder }) => {
        writeFileSync(join(folder, 'outrider.json'), outrider.configText({ listen: { port: 8081 } }))
        outrider.child.kill('SIGHUP')
      },
    }),
    running('a config that is gone', {
      says: ['the config is refused', 'does not exist'],
      did: 'rm /outrider.json; kill -HUP 1',
      until: 'is refused',
      act: ({ outrider, folder }) => {
        rmSync(join(folder, 'outrider.json'))
        outrider.child.kill('SIGHUP')
      },
    }),
    running('the key is emptied', {
      says: ['credential "fake": file /key is empty; the key from before stays in use'],
      did: ': > /key',
      files: { key: testKey },
      document: (folder) => ({ credentials: { fake: { value: undefined, file: join(folder, 'key') } } }),
      until: 'stays in use',
      act: ({ folder }) => {
        writeFileSync(join(folder, 'key'), '')
      },
    }),
    running('the list of clients is spoiled', {
      says: ['the list of clients cannot be used, the one from before stays', 'SHA-256'],
      did: "echo '[{ name: app, sha256: secret }]' > /clients.yaml",
      files: { 'clients.yaml': `[{ name: app, sha256: ${'a'.repeat(64)} }]` },
      document: (folder) => ({ clientsFile: join(folder, 'clients.yaml') }),
      until: 'stays',
      act: ({ folder }) => {
        writeFileSync(join(folder, 'clients.yaml'), '[{ name: app, sha256: secret }]')
      },
    }),
    running('the certificate is renewed without its key', {
      says: [
        'the certificate of the data port cannot be used, the one from before stays',
        'is not the certificate of the key in listen.tls.key',
      ],
      did: 'cp /new.crt /server.crt',
      files: { 'server.crt': server.cert, 'server.key': server.key },
      document: (folder) => ({ listen: { tls: { cert: join(folder, 'server.crt'), key: join(folder, 'server.key') } } }),
      until: 'stays',
      act: ({ folder }) => {
        writeFileSync(join(folder, 'server.crt'), stranger.cert)
      },
    }),
    running('the authorities are spoiled', {
      says: ['certificates that cannot be used, the ones from before stay', 'network.ca'],
      did: 'echo nonsense > /ca.pem',
      files: { 'ca.pem': testCertificates().ca.cert },
      document: (folder) => ({
        network: { ca: join(folder, 'ca.pem') },
        upstreams: [{ name: 'fake', url: 'https://127.0.0.1:9/v1', credential: 'fake' }],
      }),
      until: 'stay',
      act: ({ folder }) => {
        writeFileSync(join(folder, 'ca.pem'), 'nonsense\n')
      },
    }),
    running('an upstream that fails again and again', {
      says: ['is ejected', 'connect_failed'],
      did: 'seq 20 | xargs -I{} curl -s http://localhost:8080/v1/chat/completions -d {}',
      document: () => ({
        retry: { attempts: 1 },
        upstreams: ['north', 'south'].map((name) => ({ name, url: 'http://127.0.0.1:9/v1', credential: 'fake' })),
      }),
      until: 'is failing, and not ejected',
      act: async ({ outrider, t }) => {
        for (let n = 0; n < 20; n++) await send(t, outrider.port, chatCall)
      },
    }),
    running('an upstream that refuses the key', {
      says: ['is auth_failed', 'status 401, the key is refused'],
      did: 'curl -s http://localhost:8080/v1/chat/completions -d {}',
      upstream: async (t) => (await provider(t, answers(401, { error: { message: 'no' } }))).url,
      until: 'is auth_failed',
      act: ({ outrider, t }) => send(t, outrider.port, chatCall),
    }),
    running('a defect that ends the process', {
      says: ['Outrider stops because of a defect: RangeError: planted', 'a defect of Outrider ends the process'],
      did: '# a defect is planted: Outrider has none that is known',
      node: `process.on('SIGUSR2', () => { throw new RangeError('planted') })`,
      until: 'ends the process',
      act: ({ outrider }) => {
        outrider.child.kill('SIGUSR2')
      },
    }),
  ],
}
