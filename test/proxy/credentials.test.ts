import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { openCredential, type CredentialOptions } from '../../sidecar/proxy/credentials.ts'
import { folder, mountedSecret, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, provider } from '../fixtures/provider.ts'
import { startSidecar, type Sidecar } from '../fixtures/startSidecar.ts'

const call = (sidecar: Sidecar): Promise<Response> =>
  fetch(`${sidecar.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m"}',
    signal: AbortSignal.timeout(10_000),
  })

/** A sidecar whose key is in `file`, before a provider that takes every key. */
async function withFile(t: TestContext, file: string) {
  const upstream = await provider(t, answers(200))
  const sidecar = await startSidecar(t, upstream.url, { credentials: { main: { file } } }, { credential: 'main' })
  const shown = async (): Promise<string | undefined> => {
    const reply = await call(sidecar)
    assert.equal(reply.status, 200, await reply.text())
    return upstream.seen.at(-1)?.headers.authorization
  }
  const refused = async (): Promise<string> => {
    const reply = await call(sidecar)
    assert.equal(reply.status, 503)
    assert.equal(reply.headers.get('x-outrider-error'), 'no_credential')
    const { error } = (await reply.json()) as { error: { message: string } }
    return error.message
  }
  return { upstream, sidecar, shown, refused }
}

suite('a key in a file is read again when it changes', { concurrency: true }, () => {
  test('by a rename over it', async (t) => {
    const file = join(folder(t), 'key')
    writeFileSync(file, 'sk-one')
    const { sidecar, shown } = await withFile(t, file)
    assert.equal(await shown(), 'Bearer sk-one')
    replaceFile(file, 'sk-two')
    await sidecar.logged('credential \\"main\\" has changed')
    assert.equal(await shown(), 'Bearer sk-two')
  })

  test('in place', async (t) => {
    const file = join(folder(t), 'key')
    writeFileSync(file, 'sk-one')
    const { sidecar, shown } = await withFile(t, file)
    writeFileSync(file, 'sk-two')
    await sidecar.logged('credential \\"main\\" has changed')
    assert.equal(await shown(), 'Bearer sk-two')
  })

  test('by the swap of a mounted Secret', async (t) => {
    const secret = mountedSecret(t, { key: 'sk-one' })
    const { sidecar, shown } = await withFile(t, secret.file('key'))
    assert.equal(await shown(), 'Bearer sk-one')
    secret.swap({ key: 'sk-two' })
    await sidecar.logged('credential \\"main\\" has changed')
    assert.equal(await shown(), 'Bearer sk-two')
  })

  test('and a bad new one leaves the last good one in use', async (t) => {
    const file = join(folder(t), 'key')
    writeFileSync(file, 'sk-one')
    const { sidecar, shown } = await withFile(t, file)
    replaceFile(file, 'YOUR_API_KEY')
    await sidecar.logged(`file ${file} holds a placeholder, not a key; the key from before stays in use`)
    assert.equal(await shown(), 'Bearer sk-one')
    unlinkSync(file)
    await sidecar.logged(`file ${file} does not exist, and its folder is empty; the key from before stays in use`)
    assert.equal(await shown(), 'Bearer sk-one')
    replaceFile(file, 'sk-one')
    await sidecar.logged(`file ${file} can be used now`)
    replaceFile(file, 'sk-two')
    await sidecar.logged('has changed')
    assert.equal(await shown(), 'Bearer sk-two')
  })
})

suite('without a usable key the port is open all the same, and the answer says what is wrong', { concurrency: true }, () => {
  const wrong: Readonly<Record<string, { make: (place: string) => void; says: string }>> = {
    'no such file, and an empty folder': { make: () => {}, says: 'does not exist, and its folder is empty' },
    'an empty file': { make: (place) => writeFileSync(join(place, 'key'), ''), says: 'is empty' },
    'nothing but a newline': { make: (place) => writeFileSync(join(place, 'key'), '\n'), says: 'is empty' },
    'a newline inside': { make: (place) => writeFileSync(join(place, 'key'), 'sk-a\nsk-b\n'), says: 'holds more than one line' },
    'a placeholder': { make: (place) => writeFileSync(join(place, 'key'), 'YOUR_HOLYSHEEP_KEY'), says: 'holds a placeholder, not a key' },
    'a space inside': {
      make: (place) => writeFileSync(join(place, 'key'), 'sk a'),
      says: 'holds a character that cannot stand in a header',
    },
    'a folder': { make: (place) => mkdirSync(join(place, 'key')), says: 'is a folder, not a file' },
    'a file as folder': { make: () => {}, says: 'does not exist: a part of its path is a file' },
    'a loop of links': { make: (place) => symlinkSync('key', join(place, 'key')), says: 'cannot be read (ELOOP)' },
    'something huge': { make: (place) => writeFileSync(join(place, 'key'), 'k'.repeat(100_000)), says: 'is larger than any key' },
    'other names than expected': {
      make: (place) => {
        for (const name of ['api-key', 'API_KEY', '..hidden']) writeFileSync(join(place, name), 'sk-not-told')
      },
      says: 'does not exist; its folder holds: API_KEY, api-key',
    },
    'a key as the name of its entry': {
      make: (place) => writeFileSync(join(place, 'sk-4f9a1c0b7d2e'), ''),
      says: 'does not exist; its folder holds: a name of 15 characters',
    },
  }
  for (const [name, { make, says }] of Object.entries(wrong)) {
    test(`${name}, until it is mended`, async (t) => {
      const place = folder(t)
      const file = name === 'a file as folder' ? join(place, 'file', 'key') : join(place, 'key')
      if (name === 'a file as folder') writeFileSync(join(place, 'file'), '')
      make(place)
      const { sidecar, shown, refused, upstream } = await withFile(t, file)
      const message = await refused()
      assert.ok(message.includes(`file ${file} ${says}`), message)
      assert.ok(sidecar.log().includes(says), 'the log says it too')
      assert.doesNotMatch(message + sidecar.log(), /sk-a|not-told|sk-4f9a|hidden/)
      assert.equal(upstream.seen.length, 0)
      if (name === 'a folder' || name === 'a file as folder') return
      replaceFile(file, 'sk-good')
      await sidecar.logged(`file ${file} can be used now`)
      assert.equal(await shown(), 'Bearer sk-good')
    })
  }

  test('a Secret that is not mounted yet', async (t) => {
    const place = join(folder(t), 'mount')
    const { sidecar, shown, refused } = await withFile(t, join(place, 'key'))
    assert.match(await refused(), /does not exist, nor does its folder: is the Secret mounted\?/)
    mkdirSync(place)
    writeFileSync(join(place, 'key'), 'sk-good')
    await sidecar.logged('can be used now')
    assert.equal(await shown(), 'Bearer sk-good')
  })

  test('a change from one thing wrong to another is told', async (t) => {
    const file = join(folder(t), 'key')
    const { sidecar, refused } = await withFile(t, file)
    writeFileSync(file, '')
    await sidecar.logged('is empty')
    assert.match(await refused(), /is empty/)
  })
})

/** What a credential says while it is opened, and its key or refusal. */
async function opened(t: TestContext, options: Partial<CredentialOptions>): Promise<{ said: string[]; key: string }> {
  const said: string[] = []
  const say = (level: string, message: string): void => {
    said.push(`${level}: ${message}`)
  }
  const credential = await openCredential({ name: 'main', source: {}, env: {}, say, ...options })
  t.after(credential.close)
  try {
    return { said, key: credential.current() }
  } catch (err) {
    return { said, key: (err as Error).message }
  }
}

test('a key from the environment', async (t) => {
  const source = { env: 'THE_KEY' }
  assert.deepEqual(await opened(t, { source, env: { THE_KEY: 'sk-env' } }), { said: [], key: 'sk-env' })
  const missing = 'credential "main": environment variable THE_KEY is not set'
  assert.deepEqual(await opened(t, { source }), { said: [`error: ${missing}`], key: missing })
})

test('a file that only others may read', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'sk-a')
  chmodSync(file, 0)
  // Root may read everything, so for a moment the test is somebody else.
  if (process.getuid?.() === 0) process.seteuid?.(65_534)
  try {
    assert.match((await opened(t, { source: { file } })).key, /key cannot be read: permission denied$/)
  } finally {
    if (process.getuid?.() === 0) process.seteuid?.(0)
  }
})

test('white space around a key is trimmed with a warning, and the key stands in none of the messages', async (t) => {
  for (const value of ['sk-a\n', 'sk-a\r\n', ' sk-a', '\uFEFFsk-a', 'sk-a\n\n']) {
    const { said, key } = await opened(t, { source: { value } })
    assert.equal(key, 'sk-a')
    assert.equal(said.length, 1)
    assert.match(said[0] ?? '', /^warn: credential "main": the value in the config has white space around the key; it was trimmed/)
    assert.doesNotMatch(said[0] ?? '', /sk-a/)
  }
})

test('what people leave in place of a key is refused, and what only looks a little like it is taken', async (t) => {
  const fake = [
    'YOUR_API_KEY',
    'your-key-here',
    '<your key>',
    'sk-your-key',
    '${API_KEY}',
    '{{API_KEY}}',
    'changeme',
    'sk-xxxxxxxx',
    'my-api-key',
    'sk-...',
  ]
  for (const value of fake) assert.match((await opened(t, { source: { value } })).key, /holds a placeholder, not a key/, value)
  for (const value of ['sk-yourself1', 'my-team-9f8e7d', 'sk-proj-x', 'todos-1', 'abcd'])
    assert.equal((await opened(t, { source: { value } })).key, value)
})

test('after a 401 the file is read at once, and the call is made once more with the new key', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'sk-one')
  const upstream = await provider(t, async (exchange) => {
    if (exchange.seen.headers.authorization === 'Bearer sk-three') return answers(200, { ok: true })(exchange)
    // Changed while the call is on its way: the file alone can tell of it in time.
    await exchange.body
    replaceFile(file, upstream.seen.length === 1 ? 'sk-two' : 'sk-three')
    await answers(401, { error: 'bad key' })(exchange)
  })
  const sidecar = await startSidecar(t, upstream.url, { credentials: { main: { file } } }, { credential: 'main' })
  const shown = (): (string | undefined)[] => upstream.seen.map(({ headers }) => headers.authorization)

  const first = await call(sidecar)
  assert.equal(first.status, 401, 'never more than once')
  assert.deepEqual(await first.json(), { error: 'bad key' })
  assert.equal(first.headers.get('x-outrider-attempts'), '2')
  assert.equal(first.headers.get('x-outrider-error'), null)
  assert.deepEqual(shown(), ['Bearer sk-one', 'Bearer sk-two'])

  await sidecar.logged('has changed')
  const bodies = upstream.seen.map(({ body }) => body.toString())
  assert.deepEqual(bodies, ['{"model":"m"}', '{"model":"m"}'])
  assert.equal((await sidecar.callLine(0))['attempts'], 2)
})

test('a 401 for a key that has not changed passes as it is, and the next call is not held back', async (t) => {
  const upstream = await provider(t, answers(401, { error: 'bad key' }, { 'www-authenticate': 'Bearer' }))
  const file = join(folder(t), 'key')
  writeFileSync(file, 'sk-one')
  const sidecar = await startSidecar(t, upstream.url, { credentials: { main: { file } } }, { credential: 'main' })
  for (let n = 1; n <= 2; n++) {
    const reply = await call(sidecar)
    assert.equal(reply.status, 401)
    assert.equal(reply.headers.get('x-outrider-attempts'), '1')
    assert.equal(reply.headers.get('www-authenticate'), 'Bearer')
    assert.deepEqual(await reply.json(), { error: 'bad key' })
    assert.equal(upstream.seen.length, n)
  }
})

test('a 401 that answers an upload in the middle passes, whatever has become of the key', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'sk-one')
  const upstream = await provider(t, async ({ req, res }) => {
    await new Promise((begun) => {
      req.once('data', begun)
    })
    replaceFile(file, 'sk-two')
    res.writeHead(401, { 'content-length': 0 }).end()
  })
  const sidecar = await startSidecar(t, upstream.url, { credentials: { main: { file } } }, { credential: 'main' })
  const reply = await fetch(`${sidecar.url}/audio/transcriptions`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: Buffer.alloc(300_000, 'a'),
    signal: AbortSignal.timeout(10_000),
  })
  assert.equal(reply.status, 401)
  assert.equal(reply.headers.get('x-outrider-attempts'), '1')
  assert.equal(upstream.seen.length, 1)
})

test('a 401 that never ends holds its connection no longer than its call lasts', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'sk-one')
  const upstream = await provider(t, [
    ({ res }) => {
      replaceFile(file, 'sk-two')
      res.writeHead(401).write('a word, and then nothing')
    },
    answers(200),
  ])
  const sidecar = await startSidecar(t, upstream.url, { credentials: { main: { file } } }, { credential: 'main' })
  assert.equal((await call(sidecar)).status, 200)
  assert.equal(await upstream.seen[0]?.closed, true)
})
