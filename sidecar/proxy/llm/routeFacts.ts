import { stringEnd } from './body.ts'
import { fingerprint } from './fingerprint.ts'
import { eachMember, stringAt } from './members.ts'

/** What a body says that choosing an upstream acts on. Empty strings stand for what is not said. */
export interface RouteFacts {
  /** How many answers are asked for. */
  readonly n: number
  readonly tools: boolean
  /** The most that the answer may be; 0 where the client sets no bound. */
  readonly maxTokens: number
  /** Of the request, by its length: a quarter of its bytes. */
  readonly promptTokens: number
  readonly promptCacheKey: string
  readonly user: string
  /** Of the beginning of the prompt; 0 where there is none. Calls that begin alike find a warm cache at the same upstream. */
  readonly promptHash: number
  readonly previousResponse: string
  readonly conversation: string
}

const bytesPerToken = 4
/** Providers look for a cached prompt by about its first 256 tokens. */
const promptBytes = 1_024

const prompts = new Set(['messages', 'input', 'prompt', 'contents'])
const before = new Set(['system', 'instructions'])
const bounds = new Set(['max_tokens', 'max_completion_tokens', 'max_output_tokens'])

/** Reads these without parsing; asked for only where something is chosen by them, for it looks at the whole body. */
export function routeFacts(body: Buffer): RouteFacts {
  const facts = { n: 1, tools: false, maxTokens: 0, promptCacheKey: '', user: '', previousResponse: '', conversation: '' }
  let system: Buffer | undefined
  let prompt: Buffer | undefined
  let safety = ''
  eachMember(body, (name, from, to) => {
    if (prompts.has(name)) prompt = body.subarray(from, Math.min(to, from + promptBytes))
    else if (before.has(name)) system = body.subarray(from, Math.min(to, from + promptBytes))
    else if (bounds.has(name)) facts.maxTokens = Math.max(facts.maxTokens, numberAt(body, from, to))
    else if (name === 'n') facts.n = Math.max(1, numberAt(body, from, to))
    else if (name === 'tools' || name === 'functions') facts.tools ||= body[from] === 0x5b && !/^\[\s*\]$/.test(startAt(body, from, to))
    else if (name === 'prompt_cache_key') facts.promptCacheKey = stringAt(body, from, to) ?? ''
    else if (name === 'user') facts.user = stringAt(body, from, to) ?? ''
    else if (name === 'safety_identifier') safety = stringAt(body, from, to) ?? ''
    else if (name === 'previous_response_id') facts.previousResponse = stringAt(body, from, to) ?? ''
    else if (name === 'conversation') facts.conversation = stringAt(body, from, to) ?? idAt(body, from, to)
  })
  const start = system === undefined ? prompt : Buffer.concat([system, prompt ?? nothing]).subarray(0, promptBytes)
  return {
    ...facts,
    // The newer name counts: `user` is being retired for it.
    user: safety === '' ? facts.user : safety,
    // Worked out for who asks: it takes longer than all the rest.
    get promptTokens() {
      return estimate(body)
    },
    promptHash: start === undefined ? 0 : fingerprint(start),
  }
}

const nothing = Buffer.alloc(0)
const startAt = (body: Buffer, from: number, to: number): string => body.toString('latin1', from, Math.min(to, from + 64))

function numberAt(body: Buffer, from: number, to: number): number {
  const number = to - from > 16 ? Number.NaN : Number(body.toString('latin1', from, to))
  return Number.isInteger(number) && number > 0 ? number : 0
}

function idAt(body: Buffer, from: number, to: number): string {
  let id = ''
  if (body[from] !== 0x7b) return id
  const inner = body.subarray(from, to)
  eachMember(inner, (name, start, end) => {
    if (name === 'id') id = stringAt(inner, start, end) ?? ''
  })
  return id
}

/** Pictures and sounds come as text that no model reads as such. */
const mediaMarks = [';base64,', '"data":"', '"data": "'].map((mark) => Buffer.from(mark))
const leastMediaBytes = 4_096
const tokensOfMedia = 1_000

function estimate(body: Buffer): number {
  let tokens = 0
  let { length } = body
  if (length > leastMediaBytes) {
    for (const mark of mediaMarks) {
      for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + 1)) {
        const from = at + mark.length
        const end = stringEnd(body, from - 1)
        // A data URL within a field of that name would count twice.
        if (end - from < leastMediaBytes || body.subarray(from, from + 5).toString('latin1') === 'data:') continue
        length -= end - from
        tokens += tokensOfMedia
        at = end
      }
    }
  }
  return tokens + Math.ceil(Math.max(0, length) / bytesPerToken)
}
