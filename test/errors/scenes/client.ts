import { hash } from 'node:crypto'
import { answers, stall } from '../../fixtures/provider.ts'
import { rawClient } from '../../fixtures/rawClient.ts'
import { chatCall, messagesCall, shownReplies, type Asking } from '../asking.ts'
import { callScene } from '../callScene.ts'
import type { Chapter } from '../scene.ts'

const head = 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8080\r\n'
const malformed = (lines: string): { bytes: string } => ({ bytes: `${head}${lines}` })
const clients = { clients: [{ name: 'app', sha256: hash('sha256', 'the-right-key') }] }
const withKey = (key: string, asking: Asking = chatCall): Asking => ({ ...asking, headers: { authorization: `Bearer ${key}` } })
const overridden = (name: string, value: string): Asking => ({ ...chatCall, headers: { [name]: value } })

/** What the app did wrong. */
export const client: Chapter = {
  title: 'Calls that are refused for what the client sent',
  scenes: [
    callScene('the base URL of the app lacks /v1', {
      kind: 'not_found',
      says: ['/v1', '/chat/completions'],
      asking: { ...chatCall, path: '/chat/completions' },
    }),
    callScene('the path climbs out of /v1', { kind: 'bad_request', says: ['".."'], asking: { path: '/v1/files/../../admin' } }),
    callScene('the path begins with two slashes, at an upstream without a path of its own', {
      kind: 'bad_request',
      says: ['two slashes'],
      at: async () => ({ url: 'http://127.0.0.1:9', own: { url: 'http://127.0.0.1:9' } }),
      asking: { path: '/v1//evil.example/x' },
    }),
    callScene('no key, where clients are configured', { kind: 'unauthorized', says: ['shows no key'], document: clients }),
    callScene('a key that is not that of a configured client', {
      kind: 'unauthorized',
      says: ['not that of a configured client'],
      document: clients,
      asking: withKey('a-wrong-key'),
    }),
    callScene('the same at /v1/messages, in the shape of Anthropic', {
      kind: 'unauthorized',
      says: ['authentication_error'],
      document: clients,
      asking: withKey('a-wrong-key', messagesCall),
    }),
    callScene('a body that is too large, as its length says', {
      kind: 'body_too_large',
      says: ['limits.jsonBody', 'than 64 bytes'],
      document: { limits: { jsonBody: '64B' } },
    }),
    callScene('a body in chunks that turns out too large', {
      kind: 'body_too_large',
      says: ['limits.jsonBody', 'than 64 bytes'],
      document: { limits: { jsonBody: '64B' } },
      bytes: `${head}content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n60\r\n${'x'.repeat(0x60)}\r\n0\r\n\r\n`,
      typed:
        "curl -i http://localhost:8080/v1/chat/completions -H 'content-type: application/json' -H 'transfer-encoding: chunked' --data-binary @96-bytes.json",
    }),
    callScene('a body that is larger than all of them may be together', {
      kind: 'body_too_large',
      says: ['limits.memory', 'than 16 bytes'],
      document: { limits: { memory: '16B' } },
    }),
    callScene('an upload that is too large', {
      kind: 'body_too_large',
      says: ['limits.uploadBody', 'than 1024 bytes'],
      document: { limits: { uploadBody: '1KiB' } },
      asking: {
        path: '/v1/files',
        body: 'x'.repeat(2_000),
        shown: '2000-bytes.bin',
        headers: { 'content-type': 'application/octet-stream' },
      },
    }),
    callScene('the client stops in the middle of its body', {
      kind: 'client_timeout',
      says: ['0.15 s', 'timeouts.clientBody'],
      document: { timeouts: { clientBody: '150ms' } },
      bytes: `${head}content-type: application/json\r\ncontent-length: 99\r\n\r\n{"model":`,
    }),
    callScene('the client stops in the middle of its header', {
      kind: 'client_timeout',
      says: ['timeouts.clientHead'],
      document: { timeouts: { clientHead: '150ms' } },
      bytes: head,
      calls: 0,
    }),
    callScene('an expectation that nobody knows', {
      kind: 'expectation_failed',
      says: ['100-continue'],
      asking: { ...chatCall, headers: { expect: 'a-miracle' } },
    }),
    callScene('a header that is too large', {
      kind: 'header_too_large',
      says: ['limits.header', 'than 4096 bytes'],
      document: { limits: { header: '4KiB' } },
      bytes: `${head}x-long: ${'x'.repeat(5_000)}\r\n\r\n`,
      typed: "curl -i http://localhost:8080/v1/chat/completions -H 'x-long: …5000 characters…' -d '{}'",
      calls: 0,
    }),
    callScene('a header of too many lines', {
      kind: 'header_too_large',
      says: ['limits.headers', 'than 20 lines'],
      document: { limits: { headers: 20 } },
      bytes: `${head}${'x-many: 1\r\n'.repeat(30)}\r\n`,
      typed: "curl -i http://localhost:8080/v1/chat/completions …30 times -H 'x-many: 1'…",
    }),
    callScene('the client leaves before it has its answer', {
      kind: 'client_gone',
      onlyInLog: true,
      says: ['before its answer was whole'],
      upstream: stall(),
      asking: { ...chatCall, leaves: true },
      where: 'Ctrl+C, while the answer is waited for',
    }),
    callScene('the client leaves in the middle of its request', {
      kind: 'client_gone',
      onlyInLog: true,
      says: ['before its request was whole'],
      bytes: '',
      typed: `printf ${JSON.stringify(`${head}content-length: 99\r\n\r\n{"model":`)} | nc -q 0 localhost 8080`,
      act: async (t, { port }) => {
        const leaving = await rawClient(t, port)
        leaving.send(`${head}content-type: application/json\r\ncontent-length: 99\r\n\r\n{"model":`)
        leaving.socket.end()
        return shownReplies(await leaving.closed)
      },
    }),
    callScene('x-outrider-upstream where no override is allowed', {
      kind: 'bad_request',
      says: ['routing.overrides.upstreams'],
      asking: overridden('x-outrider-upstream', 'north'),
    }),
    callScene('x-outrider-upstream with a name that is not among those allowed', {
      kind: 'bad_request',
      says: ['routing.overrides.upstreams'],
      document: { routing: { overrides: { upstreams: ['north'] } } },
      asking: overridden('x-outrider-upstream', 'nroth'),
    }),
    callScene('x-outrider-model where no override is allowed', {
      kind: 'bad_request',
      says: ['routing.overrides.models'],
      asking: overridden('x-outrider-model', 'gpt-4o'),
    }),
    callScene('/v1/chat/completions/stream with a body that is no JSON', {
      kind: 'bad_request',
      says: ['no whole JSON object'],
      asking: { ...chatCall, path: '/v1/chat/completions/stream', body: '{"model":' },
    }),
    callScene('/v1/chat/completions/stream with a body that is not kept', {
      kind: 'bad_request',
      says: ['/v1/chat/completions/stream'],
      asking: { ...chatCall, path: '/v1/chat/completions/stream', headers: { 'content-type': 'application/octet-stream' } },
    }),
  ],
}

/** Shapes that two servers could read differently, and what is no HTTP: some are answered before they are calls. */
export const shapes: Chapter = {
  title: 'Requests that are not HTTP beyond doubt',
  scenes: [
    ...(
      [
        ['two Host headers', 'Host: other\r\n\r\n', 'two Host'],
        ['a Transfer-Encoding that is not chunked', 'Transfer-Encoding: gzip\r\nConnection: close\r\n\r\n', 'Transfer-Encoding'],
      ] as const
    ).map(([title, lines, says]) => callScene(title, { kind: 'bad_request', says: [says], ...malformed(lines) })),
    callScene('no Host', { kind: 'bad_request', says: ['no Host'], bytes: 'GET /v1/models HTTP/1.1\r\n\r\n' }),
    callScene('the method TRACE', { kind: 'bad_request', says: ['TRACE'], bytes: 'TRACE /v1/models HTTP/1.1\r\nHost: a\r\n\r\n' }),
    callScene('a whole URL, as forward proxies get it', {
      kind: 'bad_request',
      says: ['whole URL', 'forward proxy', 'and not HTTP_PROXY', '"path":""'],
      bytes: 'GET http://example.com/v1/models HTTP/1.1\r\nHost: example.com\r\n\r\n',
      typed: 'curl -i -x http://localhost:8080 http://example.com/v1/models',
    }),
    callScene('CONNECT, as forward proxies get it', {
      kind: 'bad_request',
      says: ['CONNECT', 'forward proxy', 'and not HTTPS_PROXY'],
      bytes: 'CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n',
      typed: 'curl -i -x http://localhost:8080 https://api.openai.com/v1/models',
      calls: 0,
    }),
    ...(
      [
        [
          'TLS on a port that speaks plain HTTP',
          Buffer.from('1603010005010000010303', 'hex').toString('latin1'),
          'curl https://localhost:8080/v1/models',
        ],
        ['HTTP/2 without TLS', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'curl --http2-prior-knowledge http://localhost:8080/v1/models'],
        [
          'a method that HTTP does not have',
          'FETCH /v1/models HTTP/1.1\r\nHost: a\r\n\r\n',
          'curl -i -X FETCH http://localhost:8080/v1/models',
        ],
        ['a header line without a colon', 'GET /v1/models HTTP/1.1\r\nHost: a\r\nthis is no header\r\n\r\n', undefined],
        ['a length beside chunks', `${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, undefined],
        ['a blank in front of a colon', 'GET /v1/models HTTP/1.1\r\nHost : a\r\n\r\n', undefined],
      ] as const
    ).map(([title, bytes, typed]) =>
      callScene(title, { kind: 'bad_request', says: ['not valid HTTP'], bytes, calls: 0, ...(typed !== undefined && { typed }) }),
    ),
    callScene('chunks that are none, in the middle of a call', {
      kind: 'bad_request',
      says: ['not valid HTTP'],
      upstream: answers(200),
      ...malformed('Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno chunk\r\n'),
    }),
  ],
}
