import { commandScene, type CommandScene } from '../commandScene.ts'
import type { Chapter, Scene } from '../scene.ts'

const good = 'upstreams: [{ name: a, url: https://a.example/v1 }]\n'
const secret = 'sk-proj-0123456789abcdef'

const validate = (title: string, config: string, says: Scene['says'], more: Partial<CommandScene> = {}): Scene =>
  commandScene(title, { code: 64, args: ['validate', '@outrider.yaml'], ...more, says, files: { 'outrider.yaml': config, ...more.files } })

/** Taken all the same: a warning. */
const warned = (title: string, config: string, ...says: string[]): Scene => validate(title, config, says, { code: 0 })

const yaml = (title: string, config: string, place: string, says: string): Scene =>
  validate(`YAML: ${title}`, config, [`outrider.yaml:${place}: is not YAML`, says])

/** What is wrong with the text of a config. */
export const syntax: Chapter = {
  title: 'Configs that cannot be read',
  scenes: [
    yaml('a quote that is never closed', 'log: { level: "info }\n', '2:1', 'closing quote'),
    yaml('a tab', 'upstreams:\n\t- name: a\n', '2:1', 'a tab'),
    yaml('wrong indentation', 'log:\n    level: info\n  sample: 1\n', '3:1', 'indentation'),
    yaml('a key twice', `${good}log: { level: info }\nlog: { level: warn }\n`, '3:1', 'already there'),
    yaml('two keys in one line', 'log: level: info\n', '1:6', 'two keys in one line'),
    yaml('a bracket too many', `${good}log: { level: info }}\n`, '2:21', 'does not belong'),
    yaml('a special character', 'log: { level: @info }\n', '1:15', 'needs quotes'),
    yaml('an escape that is none', 'log: { level: "\\q" }\n', '1:16', 'escape'),
    yaml('a second document', `${good}---\nlog: {}\n`, '2:1', 'second document'),
    yaml('a tag', 'log: !loud info\n', '1:6', 'unknown tag'),
    yaml('a key over two lines', 'log\n  level: info\n', '1:1', 'one line'),
    yaml('a key that is a list', '? [a]\n: b\n', '1:3', 'plain text'),
    validate('YAML: an alias without an anchor', 'log: { level: *info }\n', ['outrider.yaml:1:15: an alias (*name) without its anchor']),
    validate('too many aliases', `x: &a 1\ny: [${'*a, '.repeat(101)}]\n`, ['more than 100 aliases']),
    validate('nested too deeply', `${'['.repeat(5_000)}`, ['outrider.yaml: is nested too deeply']),
    commandScene('validate: a file that is not there, a folder without configs, and standard input', {
      says: ['/nowhere.yaml: does not exist', '/notes: holds no *.yaml', 'standard input:1:1 upstreams: is empty'],
      code: 64,
      args: ['validate', '@nowhere.yaml', '@notes', '-'],
      files: { 'notes/notes.txt': 'nothing' },
      input: 'upstreams: []\n',
    }),
    commandScene('validate --json', {
      says: ['"ok": false', '"line": 2', 'did you mean'],
      code: 64,
      args: ['validate', '--json', '@outrider.yaml'],
      files: { 'outrider.yaml': `${good}lgo: {}\n` },
    }),
    commandScene('validate --strict makes problems of warnings', {
      says: ['2:16 credentials.spare: is used by no upstream'],
      code: 64,
      args: ['validate', '--strict', '@outrider.yaml'],
      files: { 'outrider.yaml': `${good}credentials: { spare: { env: A } }\n` },
    }),
    commandScene('validate --against a config with later versions', {
      says: ['models[0].version: goes backwards: 1.9.0 comes before 2.0.0', 'models[1].version: is missing, and was 1.0.0 before'],
      code: 64,
      args: ['validate', '@new.yaml', '--against', '@old.yaml'],
      files: {
        'new.yaml': `${good}models:\n  - { name: one, version: 1.9.0 }\n  - { name: two }\n`,
        'old.yaml': `${good}models:\n  - { name: one, version: 2.0.0 }\n  - { name: two, version: 1.0.0 }\n`,
      },
    }),
    commandScene('validate --against a config that cannot be read', {
      says: ['/old.yaml:1:1: is not YAML'],
      code: 64,
      args: ['validate', '@new.yaml', '--against', '@old.yaml'],
      files: { 'new.yaml': good, 'old.yaml': '\tx' },
    }),
    validate(
      'variables that are not there, and a reference that is none',
      'upstreams:\n  - name: a\n    url: ${LLM_ULR}/v1\n  - name: b\n    url: https://${HOST:-b.example}${\n',
      ['3:5 upstreams[0].url: refers to ${LLM_ULR}', 'did you mean ${LLM_URL}', '5:5 upstreams[1].url: has a ${'],
      { env: { LLM_URL: 'https://a.example' } },
    ),
    validate('a variable that holds something else', `${good}limits: { inFlight: "\${MOST}" }\n`, ['not what ${MOST} stands for'], {
      env: { MOST: 'many' },
    }),
    validate(
      'a key in the wrong place is never shown',
      `upstreams:\n  - { name: a, url: "https://me:${secret}@a.example", apiKey: ${secret} }\n  - { name: ${secret}, url: https://b.example, credential: ${secret} }\n`,
      ['holds a user or a password', 'a text of 24 characters', 'known here'],
    ),
  ],
}

/** What is wrong with single settings: path, what would be right, what was written, the name that was meant. */
export const settings: Chapter = {
  title: 'Settings that are wrong',
  scenes: [
    validate('names of settings', `${good}Log: {}\nlog: { levle: info }\ntime_outs: {}\nlimits: { in-flight: 5 }\nsomething: 1\n`, [
      '2:1 Log: unknown key; keys are camelCase: write "log"',
      'log.levle: unknown key; did you mean "level"?',
      'time_outs: unknown key; keys are camelCase: write "timeouts"',
      'limits.in-flight: unknown key; keys are camelCase: write "inFlight"',
      'something: unknown key; known here: listen',
    ]),
    validate('upstreams that are missing', 'log: { level: info }\n', ['upstreams: is missing']),
    validate('upstreams that are no list', 'upstreams: { name: a }\n', ['must be a list of upstreams, not a mapping']),
    validate(
      'too many upstreams',
      `upstreams: [${Array.from({ length: 65 }, (_, n) => `{ name: u${n}, url: "https://a" }`).join(', ')}]\n`,
      ['more than 64 upstreams'],
    ),
    validate(
      'an upstream',
      `upstreams:
  - name: Bad Name
    url: ftp://a
    tier: 0
    weight: heavy
    models: []
    modelNames: { gpt-4o: "two words" }
    continues: asistant
    auth: baerer
    connections: "3"
    http2: yes please
    addresses: [a.example]
    proxy: socks://p
    tls: { cert: /c.pem }
    check: { by: pth, interval: 1ms, path: models, failures: 0 }
  - name: b
    url: https://b.example/v1#x
    auth: { header: Host }
    credential: a
    credentials: [b]
    models: all
    addresses: []
    check: { by: path }
  - name: b
    url: http://localhost:8080/v1
    auth: { header: x-key, prefix: ü, more: 1 }
    credentials: []
    check: { path: /x }
    addresses: 10.0.0.1
credentials: { a: { env: 1a }, c: { file: /a, env: B }, d: {}, e: 1, f: { value: "" }, __proto__: { env: A } }
`,
      [
        'upstreams[0].name: must be a name',
        'must be a whole URL that starts with https:// or http://, not "ftp://a"',
        'upstreams[0].tier: must be a whole number from 1 to 100, without quotes, not 0',
        'did you mean "assistant"?',
        'did you mean "bearer"?',
        'upstreams[0].http2: must be true or false',
        'upstreams[0].tls.cert: needs key beside it',
        '#fragment',
        'upstreams[1].auth.header: is a header with another purpose',
        'stands beside credential',
        'is the name of another upstream too',
        'calls would go round in a circle',
        'must be a name declared in credentials',
        'credentials.c: must be exactly one of',
      ],
    ),
    validate(
      'waits, sizes and shares',
      `${good}timeouts: { connect: 10, idle: 0s, total: 1d, firstEvent: soon, streamTotal: 9999h, clientHead: }
limits: { jsonBody: 50, memory: 120%, header: 1B, replayBody: lots }
streams: { heartbeat: never, longestEvent: 2000GiB, leastRate: 2MiB, malformed: drop }
log: { sample: 50%, level: verbose, bodies: all }
retry: { attempts: 11, budget: { rate: 2 } }
routing: { affinityLoad: 0 }
health: { mostEjected: 0 }
`,
      [
        'timeouts.connect: must be a duration',
        'timeouts.idle: must be at least 1ms, not "0s"',
        'timeouts.clientHead: is empty: fill it in or leave it out',
        'limits.memory: must be a share such as 40%',
        'log.level: must be one of trace, debug',
        'streams.malformed: must be pass or end, not "drop"',
      ],
    ),
    validate(
      'listeners, clients and network',
      `${good}listen: { host: 0.0.0.0, port: 9090, tls: { cert: /c.pem } }
admin: { host: "http://x" }
control: { port: 9090, tokenFile: "" }
cors: { origins: ["*", "app.example"], credentials: true, methods: [get], headers: ["a b"], maxAge: 1y }
network: { httpProxy: proxy:3128, noProxy: ["a/b"], hostAliases: { a.example: [b.example], b.example: [] }, ca: 5 }
drain: { grace: 30, afterContainers: -1 }
local: { health: on }
`,
      [
        'open relay for the key',
        'listen.tls.key: is missing',
        'must be a host name or an IP address, without scheme or port',
        'admin.port: is 9090, the port of listen too',
        'control.port: is 9090, the port of listen too',
        'cors.credentials: cannot go with the origin *',
        'must be an origin such as https://app.example.com',
        'must be a host, a .suffix',
      ],
    ),
    validate(
      'lists that are none, and empty ones',
      `${good}clients: []\ncors: { origins: [] }\nmodels: gpt\nroutes: all\nnetwork: { noProxy: a, hostAliases: [a] }\n`,
      [
        'clients: is empty: leave it out',
        'cors.origins: is empty: leave cors out',
        'must be a list of models',
        'must be a list of routes',
        'must be a list of hosts',
        'hostAliases: must be a mapping',
      ],
    ),
    validate(
      'more lists that are none',
      `${good}clients: app\ncors: { origins: a, methods: b, headers: c }\nnetwork: { hostAliases: { a: b } }\nrouting: { affinity: user, fallbacks: gpt }\n`,
      [
        'must be a list of clients',
        'must be a list of origins',
        'must be a list of methods',
        'must be a list of headers',
        'must be a list of IP addresses',
        'must be a list, such as [user, prompt], or [] for none',
        'must be a list of fallbacks',
      ],
    ),
    validate(
      'clients, models and prices',
      `${good}clients: [{ name: app, sha256: secret }, { name: app, sha256: 1 }]
models:
  - { name: "two words", version: 1.10, price: { input: "3" }, lacks: [tolls], defaults: { temperature: 3 } }
  - { name: m, version: one, lacks: [], limits: { context: 0 } }
  - { name: m, lacks: tools, price: { input: -1, output: 1 } }
`,
      [
        'is not the SHA-256 of a client key',
        'clients[1].name: is the name of another client too',
        'must be a semantic version such as 1.4.0',
        'price.output: is missing',
        'did you mean "tools"?',
        'is the name of another model too',
      ],
    ),
    validate(
      'routing and routes',
      `${good}routing:
  strategy: round-robin
  affinity: [usr, { header: authorization }]
  resume: never
  aliases: { fast: "a b" }
  fallbacks: [gpt, { model: m, on: [] }, { on: [eror] }, { model: m, on: error }]
  overrides: { upstreams: [b], models: m }
  priority: { header: "a b" }
routes:
  - { name: r, models: [] }
  - { name: r, models: [m], upstreams: [aa], canary: {} }
  - { name: s, models: m, upstreams: [], canary: { upstreams: [a], weight: 200, header: cookie } }
  - { name: t, models: [x], upstreams: a, canary: { upstreams: [b], model: "a b" } }
  - { name: u, models: ["a b"], canary: { upstreams: [] } }
  - { name: v, models: [y], canary: { upstreams: a } }
`,
      [
        'did you mean "round_robin"?',
        'routing.fallbacks[0]: must be a mapping, such as { model: gpt-4o-mini }',
        'routing.overrides.upstreams[0]: must be the name of an upstream, not "b"',
        'routes[1].name: is the name of another route too',
        'not "aa"; declared: a',
        'routes[1].canary: needs upstreams or model',
        'must be a percentage',
      ],
    ),
    validate(
      'bounds that do not fit each other',
      `${good}retry: { backoff: 10s, longestBackoff: 5s }
health: { ejection: 20m, limited: { guess: 20m } }
timeouts: { adaptive: { shortest: 9m, longest: 1m } }
`,
      [
        'retry.longestBackoff: is shorter than backoff, which is 10s',
        'health.ejection: is longer than longestEjection',
        'timeouts.adaptive.longest: is shorter than shortest',
      ],
    ),
    validate(
      'what is neither the one nor the other',
      `upstreams: [{ name: a, url: https://a.example/v1, auth: { header: x-key, prefix: 5 }, credentials: a, proxy: 5 }]
credentials: { a: { value: 5 } }
timeouts: { firstEvent: 0s }
limits: { memory: 0B }
cors: { origins: ["*"], headers: [5] }
health: { hastened: 0, mostEjected: 0, slowStartShare: 0 }
`,
      [
        'must be a URL that starts with http:// or https://, or none, not 5',
        'upstreams[0].auth.prefix: must be a text, not 5',
        'must be a list of names of credentials',
        'timeouts.firstEvent: must be 1ms to 576h, not "0s"',
        'limits.memory: must be 1B to',
        'must be the name of a header, or *',
        'must be a number from 0.01 to 1',
      ],
    ),
    validate(
      'a canary that is all of its route',
      `${good}routes: [{ name: r, models: [m], upstreams: [a], canary: { upstreams: [a] } }]\n`,
      ['routes[0].canary.upstreams: are all upstreams of the route: nothing is left for the stable side'],
    ),
    validate('a control port that is that of the probes', `${good}admin: { port: 9091 }\n`, [
      'control.port: is 9091, the port of admin too',
    ]),
  ],
}

/** What is taken, and hardly meant so. */
export const warnings: Chapter = {
  title: 'Settings that are warned of',
  scenes: [
    warned(
      'keys and the way they go',
      `upstreams: [{ name: a, url: http://a.example/v1, credential: k }]\ncredentials: { k: { value: abc }, spare: { env: A } }\ncontrol: { stateFile: /state.json }\n`,
      'the key travels unencrypted',
      'is for trials',
      'is used by no upstream',
      'keeps rollbacks only',
    ),
    warned(
      'models and routes',
      `upstreams: [{ name: a, url: https://a.example/v1, models: [gpt-4o, "llama*"] }]
routing:
  defaultModel: gpt-4
  aliases: { fast: mini, mini: gpt-4o }
  fallbacks: [{ model: gpt-4o }, { model: gpt-4o }]
routes:
  - { name: r, models: [gpt-4o], fallbacks: [{ model: gpt-4o }] }
  - { name: s, models: [gpt-4o] }
retry: { attempts: 1 }
`,
      'routing.defaultModel: warning: is in the models of no upstream: calls for it find none; did you mean "gpt-4o"?',
      'leads to an alias',
      'are all taken by routes before it',
      'is the only model that these fallbacks are for',
      'stands earlier in this list',
      'leaves none for a fallback',
    ),
    warned(
      'numbers that count for nothing',
      `${good}timeouts: { firstEvent: 30s, adaptive: { longest: 1m }, connect: 60s, total: 1s }
routing: { strategy: weighted, peakEwma: { penalty: 1s } }
retry: { attempts: 2, attemptsIfRepeated: 5, leastLeft: 2s }
health: { probation: 10s }
`,
      'is used only where timeouts.firstEvent is adaptive',
      'is used only where a strategy is peak_ewma',
      'is more than attempts: 2 is what counts',
      'nothing is tried again',
      'others follow it',
    ),
    warned(
      'waits that leave no time for others',
      `${good}timeouts: { connect: 60s, total: 500ms }\n`,
      'timeouts.connect: warning: is not shorter than health.probation',
      'timeouts.total: warning: is not longer than retry.leastLeft',
    ),
    warned(
      'a token that is not on this machine',
      `${good}control: { tokenFile: /nowhere/token }\n`,
      'on this machine /nowhere/token does not exist',
      'it may come later',
    ),
  ],
}
