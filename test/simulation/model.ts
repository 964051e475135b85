import type { Call, Handler, Headers } from '../../sidecar/proxy/call.ts'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { closeAttempt, handOver } from '../../sidecar/proxy/facts.ts'
import { offCancel, onCancel, onOver } from '../../sidecar/proxy/life.ts'
import { incoming } from '../../sidecar/proxy/upstream/incoming.ts'
import { isDown, limitedUntil, type Faults } from './faults.ts'
import type { World } from './world.ts'

export interface ModelOptions {
  readonly name: string
  readonly world: World
  readonly random: () => number
  readonly faults: Faults
  /** Hears of each attempt as it comes. */
  readonly asked: (call: Call, name: string) => void
}

/** How a call goes that is not turned away at once. */
type Course = 'good' | 'error' | 'busy' | 'page' | 'reset' | 'refused' | 'empty' | 'error_event' | 'silence'

const connectMs = 1
/** How long who turns a call away takes for that. */
const refusalMs = 50
/** Of a stream, the share of its time until the first event; the rest is text. */
const firstShare = 0.4

/** An upstream as it is from outside: it answers after its own time, fails by chance, and has hours in which it does neither. In the place of one that speaks through sockets. */
export function model(options: ModelOptions): Handler {
  const { name, world, random, faults, asked } = options
  const { now } = world
  /** Calls that wait for the head of their answer: a crash ends them. */
  const waiting = new Set<(err: SidecarError) => void>()
  for (const { fromMs, how } of faults.down) {
    if (how !== 'refused') continue
    world.at(fromMs, () => {
      for (const cut of waiting) cut(new SidecarError('no_reply', 'the upstream crashed'))
    })
  }

  const courseOf = (stream: boolean): Course => {
    if (random() >= faults.failureRate(now())) return 'good'
    const luck = random()
    if (luck < 0.3) return 'error'
    if (luck < 0.5) return 'busy'
    if (luck < 0.6) return 'page'
    if (luck < 0.75) return 'reset'
    if (luck < 0.85) return 'refused'
    if (!stream) return 'empty'
    return luck < 0.95 ? 'error_event' : 'silence'
  }

  return (call) =>
    new Promise((give, refuse) => {
      const { facts, life } = call
      const stream = facts.stream
      const isCheck = call.method === 'GET'
      closeAttempt(facts)
      facts.upstream = name
      facts.attempts++
      facts.sentMs = 0
      facts.queuedMs = now()
      handOver(facts, now())
      if (!isCheck) asked(call, name)

      let next: (() => void) | undefined
      let headed = false
      let over = false
      const after = (ms: number, then: () => void): void => {
        next = world.at(now() + ms, then)
      }
      const leave = (): void => {
        over = true
        next?.()
        waiting.delete(fail)
        offCancel(life, fail)
      }
      const fail = (err: SidecarError): void => {
        if (over) return
        leave()
        if (headed) return body.fail(err)
        facts.oursMs = now()
        closeAttempt(facts, err.kind)
        refuse(err)
      }
      const body = incoming({ pause: () => {}, resume: () => {}, close: fail })
      const head = (status: number, headers: Headers): void => {
        headed = true
        waiting.delete(fail)
        facts.headMs = now()
        facts.oursMs = facts.headMs
        facts.answered = status
        give({ status, headers: { ...headers }, framed: true, complete: body.complete, flow: body.flow, drop })
      }
      const drop = (): void => {
        body.flow({ data: () => true, end: () => {}, fail: () => {} })
        onOver(life, () => fail(new SidecarError('client_gone', 'nobody waits for this answer')))
      }
      const whole = (status: number, headers: Headers, bytes: Buffer): void => {
        head(status, headers)
        if (bytes.length > 0) body.data(bytes)
        end()
      }
      const end = (): void => {
        facts.endedMs = now()
        leave()
        body.end({})
      }
      const send = (): void => {
        facts.connectedMs = facts.sentMs = now()
        const limited = isCheck ? undefined : limitedUntil(faults, now())
        if (limited !== undefined) return after(refusalMs, () => whole(429, limited.hint ? wait(limited.untilMs - now()) : json, tooMany))
        if (isDown(faults, now()) === 'busy') return after(refusalMs, () => whole(503, json, overloaded))
        if (isCheck) return after(refusalMs, () => whole(200, json, list))
        const ms = faults.latencyMs(now(), random)
        take(courseOf(stream), ms)
      }
      const take = (course: Course, ms: number): void => {
        const partMs = random() * ms
        switch (course) {
          case 'good':
            return stream ? after(ms * firstShare, () => speak(ms * (1 - firstShare))) : after(ms, () => whole(200, json, answer))
          case 'error':
            return after(partMs, () => whole(500, json, failed))
          case 'busy':
            return after(refusalMs, () => whole(503, json, overloaded))
          case 'page':
            return after(refusalMs, () => whole(502, { 'content-type': 'text/html' }, page))
          case 'reset':
            return after(partMs, () => fail(new SidecarError('no_reply', 'the upstream closed the connection')))
          case 'refused':
            return fail(new SidecarError('connect_failed', 'nobody listens'))
          case 'empty':
            return after(partMs, () => whole(200, { ...json, 'content-length': '0' }, nothing))
          case 'error_event':
            return after(partMs, () => {
              head(200, events)
              body.data(errorEvent)
              end()
            })
          case 'silence':
            return
        }
      }
      const speak = (restMs: number): void => {
        head(200, events)
        body.data(firstEvents)
        after(restMs / 2, () => {
          body.data(moreEvents)
          after(restMs / 2, () => {
            body.data(lastEvents)
            end()
          })
        })
      }

      onCancel(life, fail)
      if (over) return
      waiting.add(fail)
      const down = isDown(faults, now())
      if (down === 'refused') after(connectMs, () => fail(new SidecarError('connect_failed', 'nobody listens')))
      else if (down === 'unreachable') after(10_000, () => fail(new SidecarError('connect_timeout', 'nobody answers')))
      else after(connectMs, send)
    })
}

const wait = (ms: number): Headers => ({ ...json, 'retry-after': String(Math.ceil(ms / 1_000)) })
const json: Headers = { 'content-type': 'application/json' }
const events: Headers = { 'content-type': 'text/event-stream' }
const nothing = Buffer.alloc(0)
const page = Buffer.from('<html><h1>502 Bad Gateway</h1></html>')
const errorOf = (type: string, code: string, message: string): string => JSON.stringify({ error: { message, type, code, param: null } })
const failed = Buffer.from(errorOf('server_error', 'internal_error', 'The server had an error'))
const overloaded = Buffer.from(errorOf('server_error', 'server_is_overloaded', 'Overloaded'))
const tooMany = Buffer.from(errorOf('rate_limit_error', 'rate_limit_exceeded', 'Too many requests'))
const errorEvent = Buffer.from(`data: ${errorOf('server_error', 'internal_error', 'The server had an error')}\n\n`)
const list = Buffer.from(JSON.stringify({ object: 'list', data: [{ id: 'm', object: 'model' }] }))
const answer = Buffer.from(
  JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }] }),
)
const chunk = (delta: object, reason: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`
const firstEvents = Buffer.from(chunk({ role: 'assistant', content: 'y' }))
const moreEvents = Buffer.from(chunk({ content: 'es' }))
const lastEvents = Buffer.from(`${chunk({}, 'stop')}data: [DONE]\n\n`)
