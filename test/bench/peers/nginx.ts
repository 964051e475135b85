import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { upstreamKey } from '../upstream/wire.ts'
import { available, type Peer, run, type Situation } from './peer.ts'

/** The Debian package, one worker. */
export const nginx: Peer = {
  name: 'nginx',
  install: () =>
    available(async () => {
      const known = await version().catch(() => null)
      if (known !== null) return known
      if (process.getuid?.() !== 0) throw new Error('nginx is not installed, and only root could install it')
      await run('apt-get', ['update'])
      // The package starts a server of its own unless told that services may not be started.
      await run('apt-get', ['install', '-y', '--no-install-recommends', 'nginx'], {
        env: { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
      })
      return version()
    }),
  command: (situation) => {
    mkdirSync(join(situation.dir, 'temp'), { recursive: true })
    const file = join(situation.dir, 'nginx.conf')
    writeFileSync(file, configuration(situation))
    return { file: 'nginx', args: ['-p', situation.dir, '-e', join(situation.dir, 'error.log'), '-c', file] }
  },
}

async function version(): Promise<string> {
  return (await run('nginx', ['-v'])).replace('nginx version:', '').trim()
}

function configuration({ port, upstream, dir }: Situation): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `  ${kind}_temp_path ${dir}/temp/${kind};`).join('\n')
  return `
daemon off;
pid ${dir}/nginx.pid;
worker_processes 1;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
${temp}
  log_format line escape=json '{"time":"$time_iso8601","method":"$request_method","path":"$uri","status":$status,"bytes":$body_bytes_sent,'
    '"seconds":$request_time,"first":"$upstream_header_time","upstream":"$upstream_addr","agent":"$http_user_agent"}';
  # Written in batches, as the others do.
  access_log /dev/null line buffer=32k flush=1s;
  keepalive_requests 100000000;
  upstream fake {
    server 127.0.0.1:${upstream.port};
    keepalive 1024;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=2048;
    location / {
      proxy_pass ${upstream.tls ? 'https' : 'http'}://fake;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host 127.0.0.1:${upstream.port};
      proxy_set_header Authorization "Bearer ${upstreamKey}";
      # nginx cannot tell a stream from its request, so it may hold back nothing.
      proxy_buffering off;
      proxy_read_timeout 600s;
      proxy_ssl_trusted_certificate ${upstream.caFile};
      proxy_ssl_verify on;
      # It checks names only, never addresses.
      proxy_ssl_name localhost;
    }
  }
}
`
}
