import { isIP } from 'node:net'
import * as v from 'valibot'
import { health } from './healthSettings.ts'
import { count, duration, durationOr, filePath, host, httpUrl, ipAddress, memoryBound, name, share, size, sizeOr } from './kinds.ts'
import { admin, clientsSchema, listen } from './listenerSettings.ts'
import { control, cors, local } from './localSettings.ts'
import { mapping, named } from './mapping.ts'
import { models } from './modelSettings.ts'
import { patience } from './patienceSettings.ts'
import { retry } from './retrySettings.ts'
import { route, routing } from './routingSettings.ts'
import { optional, required, setting } from './setting.ts'
import { credential, upstream } from './upstreamSettings.ts'

const timeouts = mapping({
  pool: setting(duration(), {
    default: '30s',
    help: 'Longest wait for a free connection.',
    reason: 'Who has waited that long gets an answer sooner elsewhere.',
  }),
  connect: setting(duration(), {
    default: '10s',
    help: 'Longest wait for DNS, TCP, proxy and TLS together.',
    reason: 'A lost SYN is repeated after 1, 3 and 7 seconds: three chances.',
  }),
  write: setting(duration(), {
    default: '10s',
    help: 'Longest pause while the call is sent and the upstream takes nothing, or, on Linux and a kept connection, acknowledges nothing.',
    reason: 'A live upstream reads at once; this is a path that drops packets.',
  }),
  firstEvent: setting(durationOr('adaptive', 'adaptive'), {
    default: 'adaptive',
    help: 'Longest wait of a stream for its first payload event; adaptive goes by what the events before it took, of each upstream and model.',
    reason: 'Models differ by a factor of 50, so one figure is too short for some and too long for others.',
  }),
  adaptive: v.optional(required(patience, { help: 'The numbers of an adaptive firstEvent.' }), {}),
  idle: setting(duration(), {
    default: '60s',
    help: 'Longest silence between two payload events, or inside a body.',
    reason: 'Models pause for some seconds while they think; after a minute the stream is dead.',
  }),
  total: setting(duration(), {
    default: '600s',
    help: 'Longest call that is not a stream.',
    reason: 'The official clients give up after ten minutes too.',
  }),
  streamTotal: setting(duration(), {
    default: '60m',
    help: 'Longest stream.',
    reason: 'Only a bound for the endless: silence is caught long before.',
  }),
  clientHead: setting(duration(), {
    default: '20s',
    help: 'Within this time the header of a call must be whole.',
    reason: 'An honest client sends it in one piece; a slow one would hold a connection for nothing.',
  }),
  clientBody: setting(duration(), {
    default: '60s',
    help: 'Longest silence while the client sends its body.',
    reason: 'Enough for a bad link, and it ends uploads that nobody sends any more.',
  }),
  webSocketIdle: setting(duration(), {
    default: '10m',
    help: 'Longest silence of a WebSocket, both directions together.',
    reason: 'A person in a voice session may listen or be away for minutes; a forgotten session should not last an hour.',
  }),
  keepAlive: setting(duration(), {
    default: '75s',
    help: 'How long an idle connection of a client stays open.',
    reason: 'Longer than the 60s of common balancers and client pools, so that they close first and no call meets a closing connection.',
  }),
  upstreamIdle: setting(duration(), {
    default: '4s',
    help: 'How long an idle connection to an upstream is kept; a keep-alive hint of the upstream wins.',
    reason: 'Shorter than the 5s after which common servers close, so that no call meets a closing connection.',
  }),
})

const limits = mapping({
  jsonBody: setting(size(), {
    default: '50MB',
    help: 'Largest JSON body of a call.',
    reason: 'The largest that a big provider takes, with images inside.',
  }),
  uploadBody: setting(size(), {
    default: '512MB',
    help: 'Largest body of another type.',
    reason: 'The largest file that a big provider takes.',
  }),
  replayBody: setting(size({ least: '0B' }), {
    default: '32MiB',
    help: 'Bodies up to this size are kept, so that a failed attempt can be repeated; larger ones are passed through once.',
    reason: 'Nearly every call with images fits; larger ones would cost more memory than a repeat is worth.',
  }),
  memory: setting(memoryBound, {
    default: '40%',
    help: 'Request bodies together may hold this much: a size, or a share of what the container may use.',
    reason: 'The rest is for the runtime, sockets and the copy that each write makes.',
  }),
  inFlight: setting(count(), {
    default: 1000,
    help: 'Most calls at a time; further ones are refused with 503 and retry-after.',
    reason: 'About what one core streams smoothly.',
  }),
  header: setting(size({ least: '1KiB' }), {
    default: '16KiB',
    help: 'Largest header of a call.',
    reason: 'What Node and common servers take; twice the usual proxies.',
  }),
  headers: setting(count(), { default: 100, help: 'Most header lines of a call.', reason: 'Honest clients send about 20.' }),
})

const streams = mapping({
  heartbeat: setting(durationOr('off', 0), {
    default: '15s',
    help: 'A comment is sent into a silent stream this often, or off.',
    reason: 'The shortest idle limits of common proxies are 30s: one comment may be late.',
  }),
  longestEvent: setting(size({ least: '1KiB' }), {
    default: '8MiB',
    help: 'Events leave whole; one that is longer passes as it comes.',
    reason: 'An image in one event fits; an endless line does not fill the memory.',
  }),
  leastRate: setting(sizeOr('off', '1MiB'), {
    default: 'off',
    help: 'A stream that brings fewer bytes a second, over a time of timeouts.idle, is taken for a dead one; or off.',
    reason:
      'Each silence has its bound in timeouts.idle, and how slow a model may be only its owner knows. An event of chat has about 200 bytes.',
  }),
  malformed: setting(v.picklist(['pass', 'end'], 'must be pass or end'), {
    default: 'pass',
    help: 'An event whose data is no JSON is passed on as it is, or ends the attempt like a cut does.',
    reason: 'Clients differ in what they bear, and to look into every event costs more than all else that is done for it.',
  }),
  resumeKept: setting(size({ least: '8KiB' }), {
    default: '1MiB',
    help: 'What is kept of a stream so that it can be resumed; one that has brought more is not.',
    reason: 'Five thousand events of any kind, and eighty thousand of chat, which resemble each other: longer than nearly every answer.',
  }),
  resumeMemory: setting(size({ least: '8KiB' }), {
    default: '16MiB',
    help: 'What is kept of all streams together; those that find no room are not resumed.',
    reason: 'A tenth of what a sidecar has; a thousand streams of chat at a time fit with 1 300 events each.',
  }),
})

const noProxyEntry = 'must be a host, a .suffix, an IP address, a CIDR block, a host:port or *'

/** What has a slash must be a block: a slip of the pen would send calls past the proxy, or all of them through it. */
function isBlock(entry: string): boolean {
  const [, net = '', bits] = /^\[?([^[\]/]*)\]?\/(\d{1,3})$/.exec(entry) ?? []
  return isIP(net) !== 0 && Number(bits) <= (isIP(net) === 6 ? 128 : 32)
}

const network = mapping({
  httpsProxy: optional(httpUrl, { help: 'HTTP proxy for upstreams with https.' }),
  httpProxy: optional(httpUrl, { help: 'HTTP proxy for upstreams with http.' }),
  noProxy: optional(
    v.array(
      v.pipe(
        v.string(noProxyEntry),
        v.regex(/^(?:\*|\*?\.?[\w[\]:][\w.:[\]/-]*)$/, noProxyEntry),
        v.check((entry) => !entry.includes('/') || isBlock(entry), noProxyEntry),
      ),
      'must be a list of hosts',
    ),
    {
      help: 'Where to connect directly: hosts, .suffixes, CIDR blocks, host:port, or * for everywhere.',
    },
  ),
  ca: optional(filePath, { help: 'PEM file with roots to trust besides the usual ones, such as the one of a proxy that opens TLS.' }),
  dnsCache: setting(duration({ least: '0s' }), {
    default: '300s',
    help: 'How long an answer of DNS is used; 0s asks every time.',
    reason: 'A failing resolver is bridged, and a moved upstream found within minutes.',
  }),
  hostAliases: optional(
    named(
      host,
      v.pipe(v.array(ipAddress, 'must be a list of IP addresses'), v.minLength(1, 'is empty: name an address, or leave the host out')),
    ),
    {
      help: 'Fixed addresses of hosts, as in /etc/hosts.',
    },
  ),
})

const drain = mapping({
  grace: setting(duration({ least: '0s' }), {
    default: '30s',
    help: 'How long running calls may go on after the order to stop.',
    reason: 'What Kubernetes grants a pod unless told otherwise.',
  }),
  idleExit: setting(duration({ least: '0s' }), {
    default: '1s',
    help: 'With no call running, stop after this long without a new one.',
    reason: 'The app may make a last call while it shuts down itself.',
  }),
  afterContainers: setting(count({ least: 0, most: 1_000 }), {
    default: 0,
    help: 'Stop by itself once this many other containers of the pod have run and none does any more; 0: never. The pod must share its processes.',
    reason: 'Only a Job whose sidecar is an ordinary container needs it, to end at all; there the injector sets it.',
  }),
})

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export const logLevel = v.picklist(levels, `must be one of ${levels.join(', ')}`)
const log = mapping({
  level: setting(logLevel, {
    default: 'info',
    help: 'The least severe lines to write.',
    reason: 'One line a call is what one asks for when something is wrong.',
  }),
  sample: setting(share, {
    default: 1,
    help: 'The share of the calls without a failure that get a line; failures always get one.',
    reason: 'Nobody asks about the call that was left out; a busy pod may choose 0.1.',
  }),
  bodies: setting(sizeOr('off', '1MiB'), {
    default: 'off',
    help: 'How much of the bodies of a call its line holds, each from its beginning, without anything that looks like a key; or off.',
    reason: 'Prompts are what people tell in confidence: they belong in no log unless somebody decides so.',
  }),
})

export const configSchema = mapping({
  listen: section(listen, 'Where the app sends its calls.'),
  admin: section(admin, 'Probes and metrics.'),
  control: section(control, 'The status of this process, for who is inside of the pod.'),
  local: section(local, 'Answers that Outrider gives itself.'),
  cors: optional(cors, { help: 'Lets web pages of other origins call. Without it none may.' }),
  clients: optional(clientsSchema, { help: 'Who may call; needed when listen.host is not the loopback.' }),
  clientsFile: optional(filePath, { help: 'A file with the list of clients; read again when it changes.' }),
  upstreams: required(
    v.pipe(
      v.array(upstream, 'must be a list of upstreams'),
      v.minLength(1, 'is empty: name one upstream'),
      v.maxLength(64, 'names more than 64 upstreams'),
    ),
    { help: 'Where the calls go.' },
  ),
  credentials: setting(named(name, credential), {
    default: {},
    help: 'The keys, each under a name that upstreams refer to.',
    reason: 'An upstream without authentication needs none.',
  }),
  models: optional(models, {
    help: 'What is known of models. Names, versions, prices and limits are checked; only defaults are put into calls.',
  }),
  routing: section(routing, 'How calls find upstreams.'),
  routes: optional(v.array(route, 'must be a list of routes'), { help: 'Rules for some models; for all others, routing alone.' }),
  retry: section(retry, 'When a call is tried again.'),
  health: section(health, 'When an upstream is left alone for a while.'),
  timeouts: section(timeouts, 'Every wait has a bound.'),
  limits: section(limits, 'What one sidecar takes on.'),
  streams: section(streams, 'Server-sent events.'),
  network: section(network, 'The way to the upstreams.'),
  drain: section(drain, 'How the sidecar stops.'),
  log: section(log, 'What is written to the log.'),
})

function section<const Schema extends v.GenericSchema<object>>(schema: Schema, help: string) {
  return v.optional(required(schema, { help }), {})
}
