import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { banner } from './demoBanner.ts'
import { shortLog } from './demoLog.ts'
import { startProvider, type ProviderOptions, type RunningProvider } from './provider.ts'

export type DemoOptions = {
  /** Where the proxy should listen: 8080 unless said otherwise. */
  readonly port?: number
  readonly out: NodeJS.WritableStream
  /** No colour, whatever `out` is. */
  readonly plain?: boolean
  readonly startProxy: (
    configText: string,
    log: (lines: string) => void,
  ) => Promise<{ readonly url: string; readonly close: () => Promise<void> }>
  /** How fast the fake model is. */
  readonly pace?: Pick<ProviderOptions, 'firstTokenMs' | 'tokenMs'>
}

// About the pace of a small hosted model, so that a stream is seen to stream.
const modelPace = { firstTokenMs: 200, tokenMs: 25 }

/** Calls go to the first, as long as that can be used. */
const names = ['north', 'south'] as const

/** Runs the proxy in front of two fake providers, and says what to paste to see it work. */
export async function demo({
  port: wanted = 8080,
  out,
  plain = false,
  startProxy,
  pace = modelPace,
}: DemoOptions): Promise<{ close(): Promise<void> }> {
  const providers: Provider[] = []
  const closeProviders = async (): Promise<void> => {
    for (const { running } of providers) await running.close()
  }
  try {
    for (const [at, name] of names.entries()) {
      // Made anew each time: a key that stands in the source is one that people begin to use.
      const key = `sk-demo-${randomBytes(12).toString('hex')}`
      providers.push({ name, key, running: await startProvider({ ...pace, expectKey: key, other: at > 0, remember: false }) })
    }
    let shows = false
    // What is logged before the banner is in the banner.
    const log = (lines: string): void => {
      if (shows) out.write(shortLog(lines))
    }
    const { proxy, port, adminPort } = await onFreePorts(wanted, (ports) => startProxy(configText({ ...ports, providers }), log))
    const taken = wanted === 0 || port === wanted ? {} : { takenPort: wanted }
    const colour = !plain && 'isTTY' in out && out.isTTY === true
    out.write(banner({ url: loopback(proxy.url), adminUrl: `http://localhost:${adminPort}`, ...taken }, colour))
    shows = true
    return {
      async close() {
        shows = false
        await proxy.close()
        await closeProviders()
        out.write('\nThe demo has ended.\n')
      },
    }
  } catch (err) {
    await closeProviders()
    throw err
  }
}

interface Provider {
  readonly name: string
  readonly key: string
  readonly running: RunningProvider
}

interface Ports {
  readonly port: number
  readonly adminPort: number
  readonly controlPort: number
}

interface DemoConfig extends Ports {
  readonly providers: readonly Provider[]
}

function configText({ port, adminPort, controlPort, providers }: DemoConfig): string {
  const upstreams = providers.map(({ name, running }, at) => ({ name, url: `${running.url}/v1`, credential: name, tier: at + 1 }))
  const credentials = Object.fromEntries(providers.map(({ name, key }) => [name, { value: key }]))
  return `listen:
  port: ${port}
admin:
  host: 127.0.0.1
  port: ${adminPort}
control:
  port: ${controlPort}
upstreams: ${JSON.stringify(upstreams)}
credentials: ${JSON.stringify(credentials)}
# Nobody wants to wait a minute to see a wait end.
timeouts:
  firstEvent: 5s
  idle: 5s
  total: 15s
# Nor minutes for a provider whose money is said to be at an end.
health:
  exhausted: 5s
  longestExhausted: 5s
`
}

/** The name is what apps are configured with, and shorter to paste. */
function loopback(url: string): string {
  return url.replace(/\/$/, '').replace('//127.0.0.1:', '//localhost:')
}

/** Somebody else may have come between the look and the start: several demos that start together all find the same ports free. */
const mostStarts = 10

async function onFreePorts<Proxy>(wanted: number, start: (ports: Ports) => Promise<Proxy>): Promise<Ports & { readonly proxy: Proxy }> {
  for (let left = mostStarts - 1; ; left--) {
    const port = await freePort(wanted)
    const adminPort = await freePort(9090, port)
    const controlPort = await freePort(9091, port, adminPort)
    try {
      return { port, adminPort, controlPort, proxy: await start({ port, adminPort, controlPort }) }
    } catch (err) {
      const taken = err instanceof Error && (err.cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE'
      if (!taken || left === 0) throw err
    }
  }
}

/** The port itself where it can be had, else any free one but `except`. */
async function freePort(wanted: number, ...except: readonly number[]): Promise<number> {
  if (wanted !== 0 && !except.includes(wanted) && (await canListen(wanted))) return wanted
  for (;;) {
    const port = await anyPort()
    if (!except.includes(port) && (await canListen(port))) return port
  }
}

/** Whether both loopbacks have the port free: the proxy listens on both. */
async function canListen(port: number): Promise<boolean> {
  for (const host of ['127.0.0.1', '::1']) {
    try {
      await listenOnce(port, host)
    } catch (err) {
      // A machine without IPv6 has one loopback only.
      if (host === '127.0.0.1' || !noIpv6.has((err as NodeJS.ErrnoException).code ?? '')) return false
    }
  }
  return true
}

const noIpv6 = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])

function anyPort(): Promise<number> {
  return listenOnce(0, '127.0.0.1')
}

async function listenOnce(wanted: number, host: string): Promise<number> {
  const server = createServer().listen(wanted, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  return port
}
