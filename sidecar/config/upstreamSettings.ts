import * as v from 'valibot'
import { check } from './healthSettings.ts'
import { count, filePath, flag, headerName, host, httpUrl, ipAddress, name } from './kinds.ts'
import { mapping, named } from './mapping.ts'
import { modelName } from './modelSettings.ts'
import { modelPattern } from './routingSettings.ts'
import { optional, required, setting } from './setting.ts'

const continues = ['off', 'assistant', 'prefix', 'echoed_prefix', 'partial', 'continue_final_message'] as const

const authSchemes = ['bearer', 'api-key', 'x-api-key', 'x-goog-api-key'] as const

// These say how a message is cut and where it goes: a key in one of them breaks every call.
const taken = new Set(['connection', 'content-length', 'content-type', 'expect', 'host', 'te', 'trailer', 'transfer-encoding', 'upgrade'])
const authHeader = v.pipe(
  headerName,
  v.check((header) => !taken.has(header.toLowerCase()), 'is a header with another purpose: a key cannot go there'),
)

const auth = v.union(
  [
    v.picklist(authSchemes),
    mapping({
      header: required(authHeader, { help: 'The header that carries the key.' }),
      prefix: optional(v.pipe(v.string('must be a text'), v.regex(/^[\t\x20-\x7e]*$/, 'must be plain ASCII')), {
        help: 'What stands before the key in that header, with its space.',
      }),
    }),
  ],
  `must be one of ${authSchemes.join(', ')}, or { header, prefix }`,
)

// The key has a place of its own: a URL is logged, a credential never is.
const upstreamUrl = v.pipe(
  httpUrl,
  v.check((text) => !hasUserinfo(text), 'holds a user or a password: put the key in credentials'),
  v.check((text) => !text.includes('#'), 'has a #fragment, which no server ever sees: leave it out'),
)

const tls = mapping({
  ca: optional(filePath, { help: 'PEM file with roots to trust for this upstream, besides the usual ones.' }),
  cert: optional(filePath, { help: 'PEM file with the certificate that we show to the upstream; goes with key.' }),
  key: optional(filePath, { help: 'PEM file with the private key of cert.' }),
  serverName: optional(host, { help: 'The name to ask for and to check in TLS, where it is not the host of the url.' }),
})

export const upstream = mapping({
  name: required(name, { help: 'What metrics, logs and headers call this upstream.' }),
  url: required(upstreamUrl, { help: 'Base URL; path and query of it are put before those of the call.' }),
  credential: optional(name, { help: 'Which of the credentials to send. Without it, none is sent.' }),
  credentials: optional(
    v.pipe(v.array(name, 'must be a list of names of credentials'), v.minLength(1, 'is empty: leave it out where no key is needed')),
    {
      help: 'Several of them, in place of credential: each is an account of its own, with limits of its own.',
    },
  ),
  tier: setting(count({ most: 100 }), {
    default: 1,
    help: 'Calls go to the upstreams of the lowest tier of which one can be used.',
    reason: 'Without tiers, all share the calls.',
  }),
  weight: setting(count({ least: 0, most: 10_000 }), {
    default: 1,
    help: 'Its share of the calls, beside the weights of the others of its tier; 0 for none. It counts once for each of its credentials: with two keys an upstream gets twice the calls.',
    reason: 'Equal shares.',
  }),
  models: optional(v.pipe(v.array(modelPattern, 'must be a list of models'), v.minLength(1, 'is empty: leave it out for all')), {
    help: 'The models it has, as clients call them; * stands for any characters. Without it, all.',
  }),
  modelNames: optional(named(modelName, modelName), {
    help: 'What it calls models that clients call otherwise; the name in the body is replaced, and nothing else.',
  }),
  continues: setting(v.picklist(continues, `must be one of ${continues.join(', ')}`), {
    default: 'off',
    help: 'How it is asked to go on from the beginning of an answer: assistant, a last message of the assistant; prefix or partial, the same with that mark on it; echoed_prefix, where the answer begins with it again; continue_final_message, as vLLM has it. Of Responses, where continue_final_message is said, from a last item that is in progress, as vLLM does since 0.15.',
    reason: 'Most upstreams begin a new answer behind such a message, and nothing in it tells.',
  }),
  check: v.optional(required(check, { help: 'Asks whether it is there while no call does.' }), {}),
  auth: setting(auth, {
    default: 'bearer',
    help: 'How the key is sent: bearer is "authorization: Bearer KEY", the others are headers of that name.',
    reason: 'OpenAI and everything compatible with it uses it.',
  }),
  connections: setting(count(), {
    default: 1000,
    help: 'Most connections open at a time; further calls queue for timeouts.pool.',
    reason: 'A call holds its connection as long as the model writes, so fewer connections would cap the calls below limits.inFlight.',
  }),
  http2: setting(flag, {
    default: false,
    help: 'Speak HTTP/2 where the upstream offers it.',
    reason: 'With one TCP connection, one lost packet stalls every stream at once.',
  }),
  addresses: optional(v.pipe(v.array(ipAddress, 'must be a list of IP addresses'), v.minLength(1, 'is empty: leave it out to ask DNS')), {
    help: 'Connect to these addresses instead of asking DNS; TLS name and host header stay those of the url.',
  }),
  tls: optional(tls, { help: 'Trust and client certificate for this upstream only.' }),
  proxy: optional(v.union([v.literal('none'), httpUrl], 'must be a URL that starts with http:// or https://, or none'), {
    help: 'HTTP proxy for this upstream only, or none to connect directly whatever network says.',
  }),
})

const aCredential = 'must be exactly one of { file }, { env } and { value }'
export const credential = v.pipe(
  mapping(
    {
      file: optional(filePath, { help: 'File with the key; read again when it changes.' }),
      env: optional(
        v.pipe(
          v.string('must be the name of an environment variable'),
          v.regex(/^[A-Za-z_]\w*$/, 'must be the name of an environment variable'),
        ),
        {
          help: 'Environment variable with the key.',
        },
      ),
      value: optional(v.pipe(v.string('must be a text'), v.nonEmpty('is empty')), {
        help: 'The key itself, for trials: whoever reads the config has it.',
      }),
    },
    aCredential,
  ),
  v.entries(1, aCredential),
  v.transform(({ file, env, value }): Credential => {
    if (file !== undefined) return { file }
    return env === undefined ? { value: value ?? '' } : { env }
  }),
)

export type Credential = { readonly file: string } | { readonly env: string } | { readonly value: string }

function hasUserinfo(text: string): boolean {
  const { username, password } = URL.parse(text) ?? {}
  return Boolean(username || password)
}
