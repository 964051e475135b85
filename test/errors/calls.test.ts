import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { kinds, type KindName } from '../../sidecar/proxy/errors.ts'
import { testKey } from '../fixtures/startSidecar.ts'
import { callChapters } from './chapters.ts'
import { masked } from './masked.ts'
import type { Scene, Seen } from './scene.ts'
import { allHeard, textsBehind } from './texts.ts'

const scenes = callChapters.flatMap((chapter) => chapter.scenes)
const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')
const everything: string[] = []

test('every kind of failure has a scene, and none has a kind that is not there', () => {
  const shown = new Set(scenes.flatMap(({ kind }) => kind ?? []))
  assert.deepEqual([...shown].toSorted(), Object.keys(kinds).toSorted())
})

test('no two scenes of a chapter have the same title', () => {
  for (const { title, scenes: some } of callChapters) {
    const titles = some.map((scene) => (scene.title.startsWith('the same ') ? `${scene.title} ${scene.kind}` : scene.title))
    assert.equal(new Set(titles).size, titles.length, title)
  }
})

suite('what is told of a failure', { concurrency: 4 }, () => {
  for (const scene of scenes) {
    test(`${scene.kind ?? ''}: ${scene.title}`, async (t) => {
      const seen = await scene.play(t)
      everything.push(textOf(seen))
      isSafe(seen)
      isConcrete(scene, seen)
      if (scene.kind === undefined) return
      assert.match(readme, new RegExp(`^\\| \`${scene.kind}\` \\|`, 'm'))
      if (scene.onlyInLog === true) return isInLog(scene.kind, seen)
      isTold(scene.kind, seen)
    })
  }
})

const textOf = ({ came, log }: Seen): string => {
  const all = `${came}\n${log.join('\n')}`
  // The texts stand in JSON.
  return all.replaceAll('\\"', '"')
}

/** Whatever went wrong: no key, no word of a prompt, no place in our code for who is not us. */
function isSafe({ came, log }: Seen): void {
  for (const secret of [testKey, 'the-right-key', 'a-wrong-key', 'the-token', '"Hi"']) {
    assert.equal(`${came}${log.join('')}`.includes(secret), false, secret)
  }
  assert.doesNotMatch(came, /\n\s+at |node:internal|file:\/\/|\.ts\b|node_modules|UND_ERR|HPE_|\[object|undefined|NaN/)
  // What our own words look like to who takes keys out of the log.
  for (const line of log) assert.doesNotMatch(line, /\[redacted\]/)
  for (const line of log) if (!line.includes('"level":"error"')) assert.doesNotMatch(line, /\.ts\b|UND_ERR|HPE_|\[object|undefined|NaN/)
}

function isConcrete({ says }: Scene, seen: Seen): void {
  const all = textOf(seen)
  for (const what of says) {
    assert.ok(typeof what === 'string' ? all.includes(what) : what.test(all), `${String(what)} is not in ${masked(all)}`)
  }
}

interface Body {
  readonly message: string
  readonly outrider: { readonly kind?: string; readonly fault: string; readonly call: string | null }
}

/** What the error says, in OpenAI's shape or Anthropic's, as a body or as the last event of a stream. */
function bodyOf(came: string): Body & { readonly inBand: boolean } {
  const event = /^event: error\ndata: (.*)$/m.exec(came)?.[1]
  const text = event ?? came.slice(came.lastIndexOf('\n\n') + 2)
  const { error, outrider, type, code } = JSON.parse(text) as {
    error: { type: string; message: string; code?: string }
    outrider: Body['outrider']
    type?: string
    code?: string
  }
  assert.ok(error.type.length > 0)
  if (event === undefined) assert.ok(type === 'error' || error.code !== undefined, 'neither of the shapes')
  else assert.ok(type === 'error' && (code === undefined || code === 'stream_interrupted'), 'clients would not take it for an error')
  const kind = outrider.kind ?? error.code
  return { message: error.message, outrider: { ...outrider, ...(kind !== undefined && { kind }) }, inBand: event !== undefined }
}

const headerOf = (came: string, name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(came)?.[1]

function isTold(kind: KindName, { came, log }: Seen): void {
  const { status, fault, permanent } = kinds[kind]
  const { message, outrider, inBand } = bodyOf(came)
  assert.deepEqual([outrider.kind, outrider.fault], [kind, fault])
  assert.ok(message.includes(`(${kind}`), 'the kind stands in the message, for who sees no more than that')
  assert.ok(message.length > 40, message)
  assert.match(
    message,
    /^(?:Refused by Outrider \(the sidecar\)|Outrider \(the sidecar\) failed|Upstream \w+ (?:failed|could not be reached)|No )/,
  )
  if (!inBand) {
    const head = came.slice([...came.matchAll(/^HTTP\/1\.1 \d/gm)].at(-1)?.index)
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `))
    assert.deepEqual([headerOf(head, 'x-outrider-error'), headerOf(head, 'x-outrider-fault')], [kind, fault])
    if (permanent) assert.equal(headerOf(head, 'x-should-retry'), 'false')
  }
  // What is refused before it is a call has no id, and no line of its own.
  if (outrider.call === null) {
    assert.equal(headerOf(came, 'x-should-retry'), permanent ? 'false' : undefined)
    assert.match(textOf({ did: '', came: '', log }), new RegExp(`refused before it was a call \\(${kind}\\)`))
    return
  }
  assert.ok(message.includes(`call ${outrider.call})`))
  const line = log.map((text) => JSON.parse(text) as Record<string, unknown>).find(({ msg }) => msg === 'call')
  assert.deepEqual([line?.['call'], line?.['error'], line?.['fault'], line?.['level']], [outrider.call, kind, fault, 'warn'])
  const reason = line?.['reason']
  // Ids are words of the client's.
  if (/refers to resp_/.test(message) && kind === 'bad_request') assert.equal(reason, undefined)
  else assert.ok(typeof reason === 'string' && message.includes(reason), `${String(reason)} is not the reason: ${message}`)
}

function isInLog(kind: KindName, { log }: Seen): void {
  const line = log.map((text) => JSON.parse(text) as Record<string, unknown>).findLast(({ msg }) => msg === 'call')
  const tried = (line?.['tried'] ?? []) as { outcome: unknown }[]
  assert.ok(line?.['error'] === kind || tried.some(({ outcome }) => outcome === kind), `${kind} is not in ${JSON.stringify(line)}`)
}

/** Texts that no call can be brought to hear, with the reason. */
const unheard: Readonly<Record<string, string>> = {
  'a call without a plan': 'a defect: the layer above makes one',
  'an upstream without a way to it': 'a defect: ways are made of the same list',
  'no route serves all models': 'a defect: the last route does',
  'the connector gave nothing': 'a defect: it gives a socket or an error',
  'x-outrider-upstream names no upstream': 'the config is refused where overrides name one that is not there',
  'the request cannot be passed on (${err.message})': 'nothing is known that the parser of Node takes and Undici does not',
  '${place.host} closed the connection during the TLS handshake': 'Node has an error for that, which comes first',
  'the connection is gone': 'Undici asks for a connection once',
  'the upstream had closed a kept connection': 'it is replaced unseen: the log line of the call has the kind of it',
  'nobody acknowledged the request for ${writeMs / 1_000} s (timeouts.write): its receiver, or the way there, is gone':
    'needs a network that loses packets: test/proxy/otherNetwork.test.ts has one',
  'this pod is shutting down: only another pod can answer now':
    'what has a slot is told by the one who cuts all calls, and nothing waits without one',
  'this sidecar is closing its connections': 'calls that wait for a connection are ended before that',
  'no list of models within ${boundMs / 1_000} s': 'the call that waits for it has the same bound; the next one is told, in a minute',
  // Why we let go of an answer, where nobody listens any more.
  'the list of models is too long to be kept': 'only the upstream sees that',
  'nobody reads the stream': 'only the upstream sees that',
  'nobody waits for this answer': 'only the upstream sees that',
  'the check is over': 'only the upstream sees that',
  'enough of it is seen': 'only the upstream sees that',
  'the upstream kept the connection of a finished stream open': 'only the upstream sees that: the stream was whole',
  'the upstream ended its answer with an error of its own': 'that error passes as it came',
}

test('every text of a failure is in a scene, or it is said why it cannot be', () => {
  const texts = textsBehind(/new SidecarError\(\s*(?:'\w+'|[\w.]+),/)
  assert.ok(texts.length > 60, `only ${texts.length} texts were found in the source`)
  allHeard(texts, everything.join('\n'), unheard)
})
