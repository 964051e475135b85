import type { ServerResponse } from 'node:http'

export type SseEvent = {
  readonly name?: string
  readonly data: object | '[DONE]'
  /** Whether the model had to think for it: such events come at the pace of tokens. */
  readonly token: boolean
}

/** What an endpoint says, before it is sent. */
export type Answer =
  | { readonly kind: 'json'; readonly status: number; readonly body: object; readonly tokens: number }
  | { readonly kind: 'stream'; readonly events: readonly SseEvent[] }
  | { readonly kind: 'bytes'; readonly type: string; readonly body: Buffer; readonly tokens: number }

export type Pace = {
  /** Wait before the first token. */
  readonly firstTokenMs: number
  /** Wait before each further one. */
  readonly tokenMs: number
}

export const json = (body: object, tokens = 0, status = 200): Answer => ({ kind: 'json', status, body, tokens })

/** An unnamed event, as chat completions send it. */
export const data = (body: object | '[DONE]', token = false): SseEvent => ({ data: body, token })

/** A named event, as Responses and Messages send it. */
export const named = (type: string, fields: object = {}, token = false): SseEvent => ({ name: type, data: { type, ...fields }, token })

const eventStream = 'text/event-stream; charset=utf-8'

/** Sends an answer at the pace of a model and stops as soon as the client is gone. */
export async function send(answer: Answer, res: ServerResponse, pace: Pace): Promise<void> {
  switch (answer.kind) {
    case 'stream':
      return stream(answer.events, res, pace)
    case 'json':
      await generate(answer.tokens, res, pace)
      return whole(res, answer.status, 'application/json', Buffer.from(JSON.stringify(answer.body)))
    case 'bytes':
      await generate(answer.tokens, res, pace)
      return whole(res, 200, answer.type, answer.body)
  }
}

async function stream(events: readonly SseEvent[], res: ServerResponse, { firstTokenMs, tokenMs }: Pace): Promise<void> {
  head(res)
  let waitMs = firstTokenMs
  for (const event of events) {
    if (event.token) {
      await wait(waitMs, res)
      waitMs = tokenMs
    }
    if (res.destroyed) return
    if (!res.write(frame(event))) await drained(res)
  }
  res.end()
}

/** The head of a stream. */
export function head(res: ServerResponse): void {
  res.writeHead(200, { 'content-type': eventStream, 'cache-control': 'no-cache' })
  res.flushHeaders()
}

export function frame({ name, data: body }: SseEvent): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`
}

/** Takes the time that a model takes for this many tokens. */
export async function generate(tokens: number, res: ServerResponse, { firstTokenMs, tokenMs }: Pace): Promise<void> {
  if (tokens > 0) await wait(firstTokenMs + tokens * tokenMs, res)
}

function whole(res: ServerResponse, status: number, type: string, body: Buffer): void {
  if (!res.destroyed) res.writeHead(status, { 'content-type': type, 'content-length': body.length }).end(body)
}

/** Resolves after the time, or at once when the client is gone. */
function wait(ms: number, res: ServerResponse): Promise<void> {
  if (ms === 0 || res.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer)
      res.off('close', over)
      resolve()
    }
    const timer = setTimeout(over, ms)
    res.once('close', over)
  })
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      res.off('drain', over)
      res.off('close', over)
      resolve()
    }
    res.once('drain', over)
    res.once('close', over)
  })
}
