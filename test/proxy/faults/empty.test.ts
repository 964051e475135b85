import { fails } from '../../fixtures/failing.ts'
import { answers, endAfter, type Step } from '../../fixtures/provider.ts'

const lie = { outcome: 'bad_reply', says: 'status 200, but no answer', attempts: 3, status: 200 } as const

/** Without a length that would tell it by the head alone. */
const chunkless: Step = async ({ body, res }) => {
  await body
  res.writeHead(200, { 'content-type': 'application/json' })
  res.flushHeaders()
  res.end()
}

fails('200 with nothing', { step: answers(200, ''), ...lie })
fails('200 with nothing, which only its end tells', { step: chunkless, ...lie, attempts: 1, passes: true })
fails('a stream without an event', { step: endAfter(), stream: true, outcome: 'reply_cut', attempts: 3, kind: 'reply_cut' })
