import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { ConfigRefused } from '../../sidecar/config/config.ts'
import { folder, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, provider } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const client = (name: string, key: string) => ({ name, sha256: hash('sha256', key) })
const shop = client('shop', 'key-of-shop')

const call = (sidecar: Sidecar, headers: Readonly<Record<string, string>> = {}, path = '/chat/completions'): Promise<Response> =>
  fetch(`${sidecar.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"model":"m"}',
    signal: AbortSignal.timeout(10_000),
  })

test('every header in which clients show their key is understood, and none of them goes on', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { clients: [shop] })
  const forms = [
    { authorization: 'Bearer key-of-shop' },
    { authorization: 'bearer key-of-shop' },
    { authorization: 'key-of-shop' },
    { 'api-key': 'key-of-shop' },
    { 'x-api-key': 'key-of-shop' },
    { 'x-goog-api-key': 'key-of-shop' },
  ]
  for (const [index, headers] of forms.entries()) {
    const reply = await call(sidecar, headers as Record<string, string>)
    assert.equal(reply.status, 200, JSON.stringify(headers))
    assert.equal((await sidecar.callLine(index))['client'], 'shop')
  }
  assert.equal(JSON.stringify(upstream.seen.map(({ rawHeaders }) => rawHeaders)).includes('key-of-shop'), false)
})

test('a stranger gets a 401 in the shape of the API that was called, and no call is made', async (t) => {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { clients: [shop] })
  for (const [index, headers] of [{}, { authorization: 'Bearer key-of-eve' }].entries()) {
    const openAi = await call(sidecar, headers)
    assert.equal(openAi.status, 401)
    assert.equal(openAi.headers.get('x-outrider-error'), 'unauthorized')
    assert.equal(openAi.headers.get('x-should-retry'), 'false')
    const { error } = (await openAi.json()) as { error: Record<string, unknown> }
    assert.match(String(error['message']), /^Refused by Outrider \(the sidecar\): the .*key/)
    assert.equal(error['code'], 'unauthorized')
    const line = await sidecar.callLine(2 * index)
    assert.deepEqual([line['client'], line['status'], line['error'], line['fault']], [undefined, 401, 'unauthorized', 'client'])

    const anthropic = await call(sidecar, headers, '/messages')
    assert.equal(anthropic.status, 401)
    const shape = (await anthropic.json()) as { type: string; error: { type: string } }
    assert.deepEqual([shape.type, shape.error.type], ['error', 'authentication_error'])
    await sidecar.callLine(2 * index + 1)
  }
  assert.equal(upstream.seen.length, 0)
  assert.doesNotMatch(sidecar.log(), /of-eve/)
})

test('a stranger is refused before a byte of the body is asked for or waited for', async (t) => {
  const upstream = await provider(t, [])
  const sidecar = await startSidecar(t, upstream.url, { clients: [shop] })
  for (const expect of ['', 'expect: 100-continue\r\n']) {
    const socket = connect(sidecar.port, '127.0.0.1')
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n${expect}\r\n`,
    )
    const [first] = (await once(socket, 'data')) as [Buffer]
    assert.match(first.toString(), /^HTTP\/1\.1 401 /)
    socket.destroy()
  }
  assert.match(
    await (await fetch(`${sidecar.adminUrl}/metrics`)).text(),
    /outrider_errors_total\{kind="unauthorized",fault="client"\} [12]/,
  )
})

suite('a file of clients', { concurrency: true }, () => {
  test('is read again when it changes, and a bad one leaves the last good one', async (t) => {
    const upstream = await provider(t, answers(200))
    const file = join(folder(t), 'clients.yaml')
    writeFileSync(file, `- name: blog\n  sha256: ${hash('sha256', 'key-of-blog')}\n`)
    const sidecar = await startSidecar(t, upstream.url, { clients: [shop], clientsFile: file })
    const status = async (key: string): Promise<number> => (await call(sidecar, { 'x-api-key': key })).status
    assert.deepEqual([await status('key-of-shop'), await status('key-of-blog'), await status('key-of-wiki')], [200, 200, 401])

    replaceFile(file, JSON.stringify([client('wiki', 'key-of-wiki')]))
    await sidecar.logged('clients read again: 2')
    assert.deepEqual([await status('key-of-shop'), await status('key-of-blog'), await status('key-of-wiki')], [200, 401, 200])

    const bad = {
      '- name: wiki\n  sha256: short\n': 'is not the SHA-256 of a client key',
      '[]': 'is empty: leave it out',
      '"a text"': 'must be a list of clients',
      [JSON.stringify([client('shop', 'another key')])]: 'is the name of a client in the config too',
      '': 'clients.yaml: is empty"',
    }
    for (const [text, says] of Object.entries(bad)) {
      replaceFile(file, text)
      await sidecar.logged('the list of clients cannot be used, the one from before stays: ')
      await sidecar.logged(says)
      assert.deepEqual([await status('key-of-shop'), await status('key-of-wiki')], [200, 200])
      replaceFile(file, JSON.stringify([client('wiki', 'key-of-wiki')]))
    }
  })

  test('may not name a client of the config once more', async (t) => {
    const file = join(folder(t), 'clients.json')
    writeFileSync(file, JSON.stringify([client('blog', 'a'), client('shop', 'b')]))
    const start = startSidecar(t, 'http://127.0.0.1:1', { clients: [shop], clientsFile: file })
    await assert.rejects(start, (err) => {
      assert(err instanceof ConfigRefused)
      assert.match(err.message, /clients\.json \[1\]\.name: is the name of a client in the config too$/)
      return true
    })
  })

  test('that is not there, or holds nothing of use, is refused with a sentence', async (t) => {
    const place = folder(t)
    writeFileSync(join(place, 'bad'), '- name: blog\n')
    for (const [name, says] of [
      ['none', /does not exist/],
      ['bad', /sha256: is missing/],
    ] as const) {
      await assert.rejects(startSidecar(t, 'http://127.0.0.1:1', { clientsFile: join(place, name) }), {
        name: 'ConfigRefused',
        message: says,
      })
    }
  })
})

test('a port that others can reach is refused without clients, with exit code 64 and a sentence', async (t) => {
  const file = join(folder(t), 'outrider.json')
  writeFileSync(file, JSON.stringify({ listen: { host: '0.0.0.0', port: 0 }, upstreams: [{ name: 'a', url: 'https://api.example/v1' }] }))
  const main = join(import.meta.dirname, '../../sidecar/main.ts')
  const child = spawn(process.execPath, [main, 'proxy', '--config', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  assert.equal(code, 64)
  assert.match(said, /listen\.host: is not the loopback, and there are neither clients nor clientsFile/)
})
