import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import {
  answers as answering,
  cutAfter,
  provider,
  stall,
  stallAfter,
  type Owner,
  type Provider,
  type Step,
} from '../../fixtures/provider.ts'
import type { Outrider } from '../../fixtures/runOutrider.ts'
import { demo, failing, messageBegun, spoken } from '../behindSidecar.ts'

type Kind = 'chat' | 'messages'

/** What a test in Python may ask the provider to do with a request. */
type Play = {
  readonly fails?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly stall?: true
  readonly stallAfter?: Kind
  readonly cutAfter?: Kind
  readonly answers?: object
}

const begun: Readonly<Record<Kind, readonly object[]>> = { chat: spoken('one two three'), messages: messageBegun }

function stepOf({ fails, headers = {}, stallAfter: stalls, cutAfter: cuts, answers }: Play): Step {
  if (answers !== undefined) return answering(200, answers)
  if (fails !== undefined) return failing(fails, headers)
  if (stalls !== undefined) return stallAfter(...begun[stalls])
  return cuts === undefined ? stall() : cutAfter(...begun[cuts])
}

/** A provider that answers by itself, but for the requests it was given a step for. */
export async function directed(t: Owner): Promise<Provider & { readonly plays: (plays: readonly Play[]) => void }> {
  const answer = demo()
  let steps: Step[] = []
  const upstream = await provider(t, (exchange) => (steps.shift() ?? answer)(exchange))
  const plays = (list: readonly Play[]): void => {
    steps = list.map(stepOf)
  }
  return Object.assign(upstream, { plays })
}

/** The way of the tests to their provider, beside the clients they test; returns its address. */
export async function control(t: Owner, upstream: Awaited<ReturnType<typeof directed>>, refusing: Outrider): Promise<string> {
  let from = 0
  let refusedBefore = 0
  const refused = (): number => refusing.lines().filter(({ msg }) => msg === 'call').length

  const answers: Readonly<Record<string, (req: IncomingMessage, query: URLSearchParams) => Promise<unknown>>> = {
    '/plays': async (req) => {
      upstream.plays(JSON.parse(await text(req)) as Play[])
      from = upstream.seen.length
      refusedBefore = refused()
      return null
    },
    '/attempts': async () => upstream.seen.length - from,
    '/gone': async (_req, query) => (await upstream.request(from + Number(query.get('n')))).closed,
    '/refused': async (_req, query) => {
      await refusing.callLine(refusedBefore + Number(query.get('atLeast')) - 1)
      return refused() - refusedBefore
    },
  }
  const server = createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? '', 'http://control')
    const answer = answers[pathname]
    if (answer === undefined) res.writeHead(404).end()
    else {
      void answer(req, searchParams).then(
        (value) => res.end(JSON.stringify(value)),
        (err: unknown) => res.writeHead(500).end(String(err)),
      )
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
