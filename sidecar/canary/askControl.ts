import { request } from 'node:http'
import { unreachable } from '../unreachable.ts'

export interface Answer {
  readonly status: number
  readonly etag: string
  /** Undefined where it is no JSON. */
  readonly json: unknown
  readonly text: string
}

export interface Question {
  readonly control: URL
  /** Below /control/routes. */
  readonly path: string
  readonly method?: string
  readonly token?: string
  readonly ifMatch?: string
  readonly body?: unknown
}

/** What went wrong, in one line for the one who typed the command. */
export class CanaryTrouble extends Error {
  override readonly name = 'CanaryTrouble'
}

/** Nobody could be asked: it may pass. */
export class Unreached extends CanaryTrouble {}

const patienceMs = 10_000
const longestAnswer = 4 * 1024 * 1024

/** Asks the control port of a running process. */
export function askControl({ control, path, method = 'GET', token, ifMatch, body }: Question): Promise<Answer> {
  const url = new URL(`${control.pathname.replace(/\/$/, '')}/control/routes${path}`, control)
  const text = body === undefined ? undefined : JSON.stringify(body)
  const headers: Record<string, string> = { connection: 'close' }
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`
  if (ifMatch !== undefined) headers['if-match'] = ifMatch
  if (text !== undefined) headers['content-type'] = 'application/json'
  return new Promise((done, refuse) => {
    const failed = (why: string): void => {
      refuse(new Unreached(`${url.href} cannot be asked: ${why}. Is a sidecar running, and is this its control port (--control)?`))
    }
    const req = request(url, { agent: false, method, headers, signal: AbortSignal.timeout(patienceMs) }, (res) => {
      let said = ''
      res.setEncoding('utf8')
      res.on('data', (part: string) => {
        said += part
        if (said.length > longestAnswer) req.destroy()
      })
      res.on('end', () => {
        done({ status: res.statusCode ?? 0, etag: res.headers.etag ?? '', json: parsed(said), text: said })
      })
      res.on('error', (err: NodeJS.ErrnoException) => {
        failed(reasonOf(err))
      })
    })
    req.on('error', (err: NodeJS.ErrnoException) => {
      failed(reasonOf(err))
    })
    req.end(text)
  })
}

/** The answer, or an error with what the other side says in its place. */
export async function answered(question: Question): Promise<Answer> {
  const answer = await askControl(question)
  if (answer.status === 200 && answer.json !== undefined) return answer
  const said = typeof answer.json === 'object' && answer.json !== null && 'error' in answer.json ? answer.json.error : answer.text
  const line = String(said)
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 300)
  throw new CanaryTrouble(`The control port answers ${answer.status}: ${line === '' ? 'nothing' : line}`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function reasonOf(err: NodeJS.ErrnoException): string {
  return err.code === 'ABORT_ERR' ? `no answer within ${patienceMs / 1_000} s` : unreachable(err)
}
