import * as v from 'valibot'
import { filePath, host, name, port } from './kinds.ts'
import { mapping } from './mapping.ts'
import { optional, required, setting } from './setting.ts'

export const listen = mapping({
  host: setting(host, {
    default: 'localhost',
    help: 'Address for the calls of the app; localhost is 127.0.0.1 and ::1.',
    reason: 'A port that adds a key must be in reach of its own pod only.',
  }),
  port: setting(port, { default: 8080, help: 'Port for the calls of the app; 0 takes any free one.', reason: 'Needs no privilege.' }),
  tls: optional(
    mapping({
      cert: required(filePath, { help: 'PEM file with the certificate chain.' }),
      key: required(filePath, { help: 'PEM file with its private key.' }),
    }),
    { help: 'Serve TLS to the clients; not needed on the loopback.' },
  ),
})

export const admin = mapping({
  host: setting(host, {
    default: '::',
    help: 'Address for probes and metrics.',
    reason: 'Kubelet and Prometheus come from outside of the pod; nothing on this port changes or reveals anything.',
  }),
  port: setting(port, {
    default: 9090,
    help: 'Port for probes and metrics; 0 takes any free one.',
    reason: 'Apart from the data port, so that a flood of calls never fails a probe.',
  }),
})

const client = mapping({
  name: required(name, { help: 'What metrics and logs call this client.' }),
  sha256: required(
    v.pipe(
      v.string('is not the SHA-256 of a client key, which is 64 hex digits'),
      v.regex(/^[0-9a-fA-F]{64}$/, 'is not the SHA-256 of a client key, which is 64 hex digits'),
      v.toLowerCase(),
    ),
    { help: 'SHA-256 of the key that the client sends, in hex. The key itself is written nowhere.' },
  ),
})

export const clientsSchema = v.pipe(v.array(client, 'must be a list of clients'), v.minLength(1, 'is empty: leave it out'))
