import * as v from 'valibot'
import { duration, filePath, flag, headerName, port } from './kinds.ts'
import { mapping } from './mapping.ts'
import { optional, required, setting } from './setting.ts'

export const local = mapping({
  health: setting(flag, {
    default: true,
    help: 'Answer GET /health with the state of each upstream; else the upstream is asked for the /health beside its base URL.',
    reason: 'Who asks the sidecar wants to know of all upstreams, and few of them have a path of that name.',
  }),
  stats: setting(flag, {
    default: true,
    help: 'Answer GET /v1/stats with figures of this process.',
    reason: 'No common provider has this path.',
  }),
  models: setting(flag, {
    default: true,
    help: 'Answer GET /v1/models with one list of all upstreams, keep it for five minutes, and serve an old one while an upstream is down.',
    reason: 'Lists change in weeks, and programs ask for them at every start: one that finds the provider down should start all the same.',
  }),
  streamAlias: setting(flag, {
    default: true,
    help: 'Take POST /v1/chat/completions/stream for a chat call with "stream": true.',
    reason: 'No common provider has this path, and clients of some gateways use it.',
  }),
})

const anOrigin = 'must be an origin such as https://app.example.com, without a path, or *'
const origin = v.pipe(
  v.string(anOrigin),
  v.check((text) => text === '*' || (/^https?:/.test(text) && URL.parse(text)?.origin === text), anOrigin),
)

const aMethod = 'must be a method in capitals, such as POST'

export const cors = mapping({
  origins: required(v.pipe(v.array(origin, 'must be a list of origins'), v.minLength(1, 'is empty: leave cors out')), {
    help: 'Origins of the web pages that may call, or * for all.',
  }),
  methods: setting(v.array(v.pipe(v.string(aMethod), v.regex(/^[A-Z]+$/, aMethod)), 'must be a list of methods'), {
    default: ['GET', 'POST', 'DELETE'],
    help: 'Methods that pages may use.',
    reason: 'What the API has.',
  }),
  headers: setting(v.array(v.union([v.literal('*'), headerName], 'must be the name of a header, or *'), 'must be a list of headers'), {
    default: ['*'],
    help: 'Headers that pages may send; * allows whatever they ask for.',
    reason: 'The official clients send a dozen of their own, and other ones with each version.',
  }),
  credentials: setting(flag, {
    default: false,
    help: 'Allow calls with cookies or client certificates; not with the origin *.',
    reason: 'Cookies are never passed on, so none are needed.',
  }),
  maxAge: setting(duration({ least: '0s' }), {
    default: '10m',
    help: 'How long a browser may remember what is allowed.',
    reason: 'Saves nearly every preflight, and a change is seen within minutes.',
  }),
})

export const control = mapping({
  off: setting(flag, {
    default: false,
    help: 'Do not listen for it at all.',
    reason: 'It is on the loopback, changes nothing without a token, and is where one looks when something is wrong.',
  }),
  port: setting(port, {
    default: 9091,
    help: 'Port on the loopback for the status of this process; 0 takes any free one.',
    reason: 'Apart from the admin port, which all of the cluster can reach.',
  }),
  quit: setting(flag, {
    default: false,
    help: 'Let any program of the pod end this process with POST /control/quit, as an order to stop would.',
    reason: 'Only a Job whose sidecar is an ordinary container needs it, to end at all; there the injector switches it on.',
  }),
  tokenFile: optional(filePath, {
    help: 'File with the token that a change must show; without it nothing can be changed. Read with each change, so that it may come later.',
  }),
  stateFile: optional(filePath, {
    help: 'File in which weights that are changed at run time are kept, for the next start; without it they end with the process.',
  }),
})
