import { request } from 'node:http'
import { unreachable } from './unreachable.ts'

export interface Answer {
  readonly good: boolean
  /** One line. */
  readonly line: string
}

/** Less than the patience of any common probe, so that the reason is told by us. */
const patienceMs = 4_000
const longestAnswer = 200

/** Asks a running sidecar how it is. Through node:http, since `fetch` alone would take longer to load than all the rest. */
export function health(url: URL): Promise<Answer> {
  return new Promise((done) => {
    const bad = (line: string): void => {
      done({ good: false, line })
      req.destroy()
    }
    const req = request(url, { agent: false, headers: { connection: 'close' } }, (res) => {
      let body = ''
      res.setEncoding('utf8')
      res.on('data', (text: string) => {
        body += text
        if (body.length > longestAnswer) end()
      })
      const end = (): void => {
        const said = body
          .slice(0, longestAnswer)
          .split('\n')[0]
          ?.replaceAll(/[^\x20-\x7e]/g, '?')
          .trim()
        if (res.statusCode === 200) done({ good: true, line: `${url.href} says ${said || 'nothing, with status 200'}` })
        // A sidecar that is not ready says 503, and why.
        else bad(`${url.href} answers ${res.statusCode}: ${said || 'nothing'}${res.statusCode === 503 ? '' : `. ${isRight}`}`)
        req.destroy()
      }
      res.on('end', end)
      res.on('error', (err: NodeJS.ErrnoException) => bad(fault(url, err)))
    })
    req.on('error', (err: NodeJS.ErrnoException) => bad(fault(url, err)))
    setTimeout(() => bad(`${url.href} gives no answer within ${patienceMs / 1000} s.`), patienceMs).unref()
    req.end()
  })
}

const isRight = 'Is a sidecar running, and is this the port of its probes (--port, admin.port in its config)?'

function fault(url: URL, err: NodeJS.ErrnoException): string {
  return `${url.href} cannot be asked: ${unreachable(err)}. ${isRight}`
}
