import type { KindName } from '../../sidecar/proxy/errors.ts'
import { provider, type Step } from '../fixtures/provider.ts'
import type { Owner } from '../fixtures/providerExchange.ts'
import { merged, startSidecar, testKey, type Document, type Sidecar } from '../fixtures/startSidecar.ts'
import { chatCall, curlOf, send, shownReplies, type Asking } from './asking.ts'
import type { Scene, Seen } from './scene.ts'
import { rawClient } from '../fixtures/rawClient.ts'

export interface Place {
  readonly url: string
  readonly document?: Document
  readonly own?: Document
}

export interface CallScene {
  readonly kind?: KindName
  readonly onlyInLog?: true
  readonly says: Scene['says']
  /** What the upstream does with each request, or with one after the other. */
  readonly upstream?: Step | readonly Step[]
  /** Where the upstream is, if it is nowhere where it could do that. */
  readonly at?: (t: Owner) => Promise<Place>
  readonly document?: Document
  /** More of the upstream. */
  readonly own?: Document
  /** The same, of one of several. */
  readonly each?: readonly Document[]
  /** More upstreams, behind the first. */
  readonly others?: readonly (Step | readonly Step[])[]
  readonly asking?: Asking
  /** Bytes in place of a request, and how they would be typed. */
  readonly bytes?: string
  readonly typed?: string
  /** Where more is needed than one request; the answer is what came. */
  readonly act?: (t: Owner, sidecar: Sidecar) => Promise<string>
  /** Words for what stands around the command. */
  readonly where?: string
  /** Calls that are over at the end. */
  readonly calls?: number
}

const names = ['north', 'south', 'west']

/** A failure of a call, through a sidecar as it is by default but for short waits. */
export function callScene(title: string, scene: CallScene): Scene {
  const { kind, onlyInLog, says } = scene
  return { title, ...(kind && { kind }), ...(onlyInLog && { onlyInLog }), says, play: (t) => played(t, scene) }
}

async function played(t: Owner, scene: CallScene): Promise<Seen> {
  const { upstream, at, document = {}, own = {}, each = [], others = [], asking = chatCall, bytes, calls = 1, act } = scene
  const place = at === undefined ? undefined : await at(t)
  const urls = [place?.url ?? (await provider(t, upstream ?? [])).url]
  for (const other of others) urls.push((await provider(t, other)).url)
  const more = { ...own, ...place?.own }
  const upstreams = urls.map((url, n) => ({
    name: names[n],
    url: `${url}/v1`,
    credential: 'key',
    ...(urls.length > 1 && { tier: n + 1 }),
    ...more,
    ...each[n],
  }))
  const base = { retry: { attempts: 3, backoff: '1ms', throttledBackoff: '1ms' }, credentials: { key: { value: testKey } } }
  const written = merged(document, place?.document ?? {})
  const sidecar = await startSidecar(t, '', merged({ ...base, upstreams }, written))
  const came = act === undefined ? await asked(t, sidecar, asking, bytes) : await act(t, sidecar)
  if (calls > 0) await sidecar.callLine(calls - 1)
  return {
    did: didOf(scene, {
      ...written,
      ...(Object.keys(more).length > 0 && { 'upstreams[]': more }),
      ...(each.length > 0 && { upstreams: each }),
    }),
    came,
    log: aboutCall(sinceStart(sidecar.log()), came),
  }
}

async function asked(t: Owner, sidecar: Sidecar, asking: Asking, bytes: string | undefined): Promise<string> {
  if (bytes === undefined) return send(t, sidecar.port, asking)
  const client = await rawClient(t, sidecar.port)
  client.send(bytes)
  return shownReplies(await client.closed)
}

/** Settings are told as they stand in the config: half of what one has to know at night. */
function didOf({ where, typed, bytes, asking = chatCall }: CallScene, written: Document): string {
  const around = [
    ...(where === undefined ? [] : [where]),
    ...(Object.keys(written).length > 0 ? [`config: ${JSON.stringify(written)}`] : []),
  ]
  const command = typed ?? (bytes === undefined ? curlOf(asking) : `printf ${JSON.stringify(bytes)} | nc localhost 8080`)
  return [...around.map((line) => `# ${line}`), command].join('\n')
}

/** Of the lines of calls only that of the one that was looked at. */
function aboutCall(lines: readonly string[], came: string): string[] {
  const ids = [...came.matchAll(/^x-outrider-call: (\S+)/gm)].map(([, id]) => `"call":"${id}"`)
  const isCall = (line: string): boolean => line.includes('"msg":"call"')
  const last = lines.findLast(isCall)
  return lines.filter(
    (line) => !isCall(line) || (ids.length === 0 ? line === last && came.startsWith('(') : ids.some((id) => line.includes(id))),
  )
}

/** The start tells of itself, and that a key stands in the config. */
export function sinceStart(log: string): string[] {
  const lines = log.split('\n').filter((line) => line !== '')
  return lines.slice(lines.findLastIndex((line) => line.includes('"msg":"listening on ')) + 1)
}
