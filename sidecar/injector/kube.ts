import { existsSync, readFileSync } from 'node:fs'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { Agent, request, type RequestOptions } from 'node:https'
import { buffer } from 'node:stream/consumers'
import { KubeConfig } from '@kubernetes/client-node'
import { KubeError } from './kubeError.ts'

/** An object as it came: what a typed client does not know of, it drops. */
export interface KubeObject {
  readonly [field: string]: unknown
  readonly metadata: Metadata
}

interface Metadata {
  readonly [field: string]: unknown
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly creationTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface KubeCall {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH'
  /** Without the host. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly contentType?: string
}

export interface Streaming {
  readonly onLine: (line: string) => void
  readonly signal: AbortSignal
  /** Without a byte for this long, the connection is taken for dead. */
  readonly silenceMs: number
}

export interface Kube {
  /** Where the API server is, for messages. */
  readonly server: string
  /** The namespace that the credentials belong to. */
  readonly namespace: string | undefined
  /** Whom we act as, where that is a ServiceAccount. */
  readonly serviceAccount: ServiceAccount | undefined
  /** The parsed body of a good answer; `KubeError` otherwise. */
  readonly ask: (call: KubeCall) => Promise<unknown>
  /** The lines of an answer that goes on; resolves at its end. */
  readonly stream: (call: KubeCall, streaming: Streaming) => Promise<void>
  readonly close: () => void
}

export interface ServiceAccount {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface KubeOptions {
  /** A kubeconfig; without it, the ServiceAccount of the pod. */
  readonly kubeconfig: string | undefined
  /** What became of each request, as its status or `unreachable`. */
  readonly count: (result: string) => void
}

/** A webhook that is asked at admission must not wait long for anything. */
const patienceMs = 10_000
/** Lists are of a handful of objects; an answer beyond this is not from an API server. */
const mostBytes = 32 * 1024 * 1024

/** The API server, by plain requests: client-node finds it and signs on, and what goes over the line is raw JSON. */
export function openKube({ kubeconfig, count }: KubeOptions): Kube {
  const config = loaded(kubeconfig)
  const { server, base } = serverOf(config, kubeconfig ?? 'the pod')
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: 30_000, timeout: 60_000 })

  const send = async ({ method = 'GET', path, query = {}, body, contentType = 'application/json' }: KubeCall, signal: AbortSignal) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const search = new URLSearchParams(query).toString()
    const options: RequestOptions = {
      method,
      host: base.hostname.replace(/^\[|\]$/g, ''),
      port: base.port === '' ? 443 : base.port,
      path: `${base.pathname.replace(/\/$/, '')}${path}${search === '' ? '' : `?${search}`}`,
      signal,
    }
    try {
      // Each time, as tokens and certificates are renewed in their files.
      await config.applyToHTTPSOptions(options)
    } catch (err) {
      throw new KubeError(`the credentials for ${server} cannot be read: ${(err as Error).message}`, undefined, err)
    }
    // The agent of client-node opens a connection for each request; where a proxy is in between, it alone knows the way.
    if (config.getCurrentCluster()?.proxyUrl === undefined) options.agent = agent
    const content = text === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }
    // client-node may have put its authorization there.
    options.headers = {
      ...(options.headers as OutgoingHttpHeaders),
      accept: 'application/json',
      'user-agent': 'outrider-injector',
      ...content,
    }
    return answered(options, text, `${method} ${path}`)
  }

  const answered = async (options: RequestOptions, text: string | undefined, what: string): Promise<IncomingMessage> => {
    const res = await new Promise<IncomingMessage>((resolve, reject) => {
      let answering = false
      const req = request(options, (answer) => {
        answering = true
        resolve(answer)
      })
      // Also for the head of what goes on for long.
      req.setTimeout(patienceMs, () => {
        if (!answering) req.destroy(new Error(`no answer within ${patienceMs / 1_000} s`))
      })
      req.on('error', (err) => {
        count('unreachable')
        reject(new KubeError(`${what}: ${server} cannot be reached: ${reasonOf(err)}`, undefined, err))
      })
      req.end(text)
    })
    const status = res.statusCode ?? 0
    count(String(status))
    if (status >= 200 && status < 300) return res
    throw new KubeError(`${what}: ${saidBy(await bodyOf(res))} (${status})`, status)
  }

  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    serviceAccount: serviceAccountOf(kubeconfig === undefined ? readFileSync(tokenFile, 'utf8') : config.getCurrentUser()?.token),
    ask: async (call) => {
      const signal = AbortSignal.timeout(patienceMs)
      const body = await bodyOf(await send(call, signal))
      try {
        return JSON.parse(body)
      } catch {
        throw new KubeError(`${call.path}: the answer of ${server} is not JSON`)
      }
    },
    stream: async (call, { onLine, signal, silenceMs }) => {
      const res = await send(call, signal)
      res.setTimeout(silenceMs, () => {
        res.destroy(new KubeError(`${call.path}: nothing came from ${server} for ${silenceMs / 1_000} s`))
      })
      let rest = ''
      for await (const chunk of res.setEncoding('utf8') as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop() ?? ''
        lines.forEach(onLine)
      }
    },
    close: () => {
      agent.destroy()
    },
  }
}

async function bodyOf(res: IncomingMessage): Promise<string> {
  let length = 0
  res.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > mostBytes) res.destroy(new KubeError('the answer of the API server is too long'))
  })
  try {
    return (await buffer(res)).toString()
  } catch (err) {
    throw err instanceof KubeError ? err : new KubeError(`the answer of the API server was cut off: ${reasonOf(err)}`, undefined, err)
  }
}

const tokenFile = '/var/run/secrets/kubernetes.io/serviceaccount/token'

function loaded(kubeconfig: string | undefined): KubeConfig {
  const config = new KubeConfig()
  if (kubeconfig === undefined) {
    if (!existsSync(tokenFile)) {
      throw new KubeError(`This is no pod with a ServiceAccount token (${tokenFile} does not exist): name a kubeconfig with --kubeconfig.`)
    }
    config.loadFromCluster()
    return config
  }
  try {
    // Told apart from a file with wrong contents.
    readFileSync(kubeconfig)
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    throw new KubeError(`The kubeconfig ${kubeconfig} ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`}.`)
  }
  try {
    config.loadFromFile(kubeconfig)
  } catch (err) {
    throw new KubeError(`${kubeconfig} is no kubeconfig: ${withoutText(err as Error)}.`, undefined, err)
  }
  return config
}

function serverOf(config: KubeConfig, source: string): { server: string; base: URL } {
  const server = config.getCurrentCluster()?.server
  if (server === undefined) throw new KubeError(`The kubeconfig of ${source} names no cluster in its current context.`)
  const base = URL.parse(server)
  if (base?.protocol !== 'https:') throw new KubeError(`The API server of ${source} must be at an https URL, not "${server}".`)
  return { server: base.origin, base }
}

/** As the token itself says: no right is needed to read that. */
function serviceAccountOf(token: string | undefined): ServiceAccount | undefined {
  try {
    const claims = JSON.parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString()) as Claims
    const { namespace, serviceaccount } = claims['kubernetes.io']
    return { namespace, ...serviceaccount }
  } catch {
    return undefined
  }
}

interface Claims {
  readonly 'kubernetes.io': { readonly namespace: string; readonly serviceaccount: { readonly name: string; readonly uid: string } }
}

function saidBy(body: string): string {
  try {
    const status: unknown = JSON.parse(body)
    if (typeof status === 'object' && status !== null && 'message' in status && typeof status.message === 'string') return status.message
  } catch {
    // Not from an API server: a proxy in between, for one.
  }
  return body.slice(0, 200).trim()
}

function reasonOf(err: unknown): string {
  const { name, code, message } = err as NodeJS.ErrnoException
  if (name === 'TimeoutError') return `no answer within ${patienceMs / 1_000} s`
  return message === '' ? (code ?? name) : message
}

/** What the parser of YAML says shows the line where it stopped, and that may be the one with the token. */
const withoutText = ({ message }: Error): string =>
  message.split('\n', 1)[0]?.replaceAll(/"[^"]*"|'[^']*'|<[^>]*>/g, '…') ?? 'it cannot be read'
