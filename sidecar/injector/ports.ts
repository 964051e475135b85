import { Denial } from './denial.ts'
import { domain, sidecarName } from './names.ts'
import { listOf, nameOf, rawOf, textOf, type Raw } from './raw.ts'

export interface Ports {
  /** Where the app calls. */
  readonly data: number
  /** Probes and metrics. */
  readonly admin: number
  /** The status, for who is inside of the pod. */
  readonly control: number
}

/** Ports and who has them, in words that complete "is taken by". */
export type Taken = ReadonlyMap<number, string>

/** What is usual for a program to be told where to listen; `REDIS_PORT` and its like say where somebody else does. */
const portVariable =
  /^(?:(?:HTTPS?|GRPC|SERVER|LISTEN|BIND|APP|APPLICATION|WEB|API|SERVICE|ADMIN|METRICS|PROMETHEUS|MANAGEMENT(?:_SERVER)?|HEALTH|NODE|UVICORN|GUNICORN|HYPERCORN|FLASK_RUN|FASTAPI|STREAMLIT_SERVER|GRADIO_SERVER|QUARKUS_HTTP|MICRONAUT_SERVER|ASPNETCORE_HTTPS?|JUPYTER)_)?PORTS?$/
/** Those that are told an address with the port, such as `:8080` or `http://+:8080`. */
const addressVariable = /^(?:ASPNETCORE_URLS|(?:(?:HTTP|GRPC|SERVER|LISTEN|BIND|APP|METRICS)_)?(?:LISTEN_|BIND_)?ADDR(?:ESS)?)$/

/** Every port that a container of the pod, ours apart, says to listen on. */
export function takenPorts(spec: Raw): Taken {
  const taken = new Map<number, string>()
  const all = [...listOf(spec['containers']), ...listOf(spec['initContainers'])].filter((one) => nameOf(one) !== sidecarName)
  for (const container of all) {
    for (const [port, how] of portsOf(container)) if (!taken.has(port)) taken.set(port, `container "${nameOf(container)}" (${how})`)
  }
  return taken
}

function* portsOf(container: Raw): Generator<[port: number, how: string]> {
  for (const { containerPort, protocol } of listOf(container['ports'])) {
    // Our listeners are TCP, and ports of UDP are others.
    if (isPort(containerPort) && (protocol ?? 'TCP') === 'TCP') yield [containerPort, 'containerPort']
  }
  const lifecycle = rawOf(container['lifecycle'])
  const handlers = {
    startupProbe: container['startupProbe'],
    readinessProbe: container['readinessProbe'],
    livenessProbe: container['livenessProbe'],
    postStart: lifecycle['postStart'],
    preStop: lifecycle['preStop'],
  }
  for (const [how, handler] of Object.entries(handlers)) {
    // A port that is a name stands under ports as well.
    for (const one of ['httpGet', 'tcpSocket', 'grpc']) {
      const { port } = rawOf(rawOf(handler)[one])
      if (isPort(port)) yield [port, how]
    }
  }
  for (const entry of listOf(container['env'])) {
    const [name, value] = [nameOf(entry), textOf(entry['value'])]
    if (value === undefined) continue
    const written = portVariable.test(name) ? value.split(/[,;]/) : addressVariable.test(name) ? portsIn(value) : []
    for (const one of written) if (/^\d{2,5}$/.test(one.trim()) && isPort(Number(one))) yield [Number(one), `variable ${name}`]
  }
}

const portsIn = (addresses: string): string[] => [...addresses.matchAll(/:(\d{2,5})(?=$|[/;,])/g)].map(([, port = '']) => port)

const isPort = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535

/** Above the crowd, and below where the kernel takes ports for connections to others (32768 and up). */
const instead = {
  data: [18_080, 28_080, 18_880, 28_880, 17_080, 27_080, 16_080, 26_080],
  admin: [19_090, 29_090, 19_990, 29_990, 17_090, 27_090, 16_090, 26_090],
  control: [19_091, 29_091, 19_991, 29_991, 17_091, 27_091, 16_091, 26_091],
} as const

const what = { data: 'calls', admin: 'probes and metrics', control: 'the status' } as const
const annotationOf = { data: `${domain}port`, admin: `${domain}admin-port`, control: undefined } as const

/** Three free ports: those that were asked for by name, or a `Denial`; else those of the profile, or the next free ones. */
export function choosePorts(wanted: Ports, pinned: Partial<Ports>, taken: Taken): Ports {
  const chosen = new Map(taken)
  const ports: Partial<Record<keyof Ports, number>> = {}
  const take = (name: keyof Ports, port: number): void => {
    ports[name] = port
    chosen.set(port, `Outrider itself (${what[name]})`)
  }
  const names = ['data', 'admin', 'control'] as const
  for (const name of names) {
    const port = pinned[name]
    if (port === undefined) continue
    const by = chosen.get(port)
    if (by !== undefined) {
      throw new Denial(
        `annotation ${annotationOf[name]}: port ${port} is taken by ${by}; choose another one, or leave it out and a free one is found`,
      )
    }
    take(name, port)
  }
  for (const name of names) {
    if (ports[name] !== undefined) continue
    const free = [wanted[name], ...instead[name]].find((port) => !chosen.has(port))
    if (free === undefined) {
      const by = taken.get(wanted[name]) ?? 'this pod'
      throw new Denial(`no port is free for ${what[name]}: ${wanted[name]} is taken by ${by}, and so are all that are tried in its place`)
    }
    take(name, free)
  }
  return ports as Ports
}
