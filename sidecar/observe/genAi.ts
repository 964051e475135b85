import type { Facts } from '../proxy/facts.ts'
import { tellsTokens } from '../proxy/llm/usage.ts'
import { bounded } from './bounded.ts'
import { genAiDurations, genAiEachToken, genAiFirstTokens, genAiTokens } from './catalogue.ts'
import { providerOf } from './provider.ts'
import { remembered } from './remembered.ts'
import { histograms, type Exposition, type Labels, type Spread } from './tallies.ts'

const operationNames: Readonly<Record<string, string>> = {
  chat: 'chat',
  completions: 'text_completion',
  responses: 'chat',
  messages: 'chat',
  embeddings: 'embeddings',
}

/** One model answers under few names of its own. */
const mostServed = 4

interface Records {
  readonly duration: (errorType: string) => Spread
  readonly firstChunk: () => Spread
  readonly eachChunk: () => Spread
  readonly serverDuration: (errorType: string) => Spread
  readonly firstToken: () => Spread
  readonly eachToken: () => Spread
  readonly input: () => Spread
  readonly output: () => Spread
}

export interface Outcome {
  readonly seconds: number
  /** Empty for a call that went well. */
  readonly errorType: string
  readonly trace: string | undefined
}

/** The metrics of OpenTelemetry's conventions for calls of models. */
export function genAi(all: Exposition, byModel: <Item>(make: (model: string) => Item) => (model: string) => Item) {
  const durations = histograms(all, 'gen_ai_client_operation_duration_seconds', genAiDurations)
  const firstChunks = histograms(all, 'gen_ai_client_operation_time_to_first_chunk_seconds', genAiDurations)
  const eachChunks = histograms(all, 'gen_ai_client_operation_time_per_output_chunk_seconds', genAiDurations)
  const serverDurations = histograms(all, 'gen_ai_server_request_duration_seconds', genAiDurations)
  const firstTokens = histograms(all, 'gen_ai_server_time_to_first_token_seconds', genAiFirstTokens)
  const eachTokens = histograms(all, 'gen_ai_server_time_per_output_token_seconds', genAiEachToken)
  const tokens = histograms(all, 'gen_ai_client_token_usage', genAiTokens)

  const recordsOf = (labels: Labels): Records => ({
    duration: remembered((errorType: string) => durations(failed(labels, errorType))),
    serverDuration: remembered((errorType: string) => serverDurations(failed(labels, errorType))),
    firstChunk: once(() => firstChunks(labels)),
    eachChunk: once(() => eachChunks(labels)),
    firstToken: once(() => firstTokens(labels)),
    eachToken: once(() => eachTokens(labels)),
    input: once(() => tokens({ ...labels, gen_ai_token_type: 'input' })),
    output: once(() => tokens({ ...labels, gen_ai_token_type: 'output' })),
  })
  const addressOf = remembered((address: string) => {
    const server = serverLabels(new URL(address))
    return remembered((operation: string) =>
      byModel((model) => {
        const labels = { gen_ai_operation_name: operationNames[operation] ?? operation, ...server, gen_ai_request_model: model }
        const unknown = once(() => recordsOf(labels))
        const served = bounded(mostServed, 'other', (name) => recordsOf({ ...labels, gen_ai_response_model: name }))
        return (name: string) => (name === '' ? unknown() : served(name))
      }),
    )
  })

  // The URL of an upstream is one object as long as its settings stay.
  const upstreamOf = remembered((url: URL) => addressOf(url.origin))

  return (facts: Facts, url: URL, { seconds, errorType, trace }: Outcome): void => {
    if (facts.attempts === 0 || !tellsTokens(facts.operation)) return
    const records = upstreamOf(url)(facts.operation)(facts.model)(facts.usage?.model ?? '')
    records.duration(errorType).observe(seconds, trace, facts.overMs)
    if (facts.sentMs > 0) records.serverDuration(errorType).observe(serverSeconds(facts))
    if (facts.eventMs > 0) observeStream(records, facts, trace)
    observeTokens(records, facts)
  }
}

const failed = (labels: Labels, errorType: string): Labels => (errorType === '' ? labels : { ...labels, error_type: errorType })

/** Without what came before it, and without what a slow client takes to read. */
const serverSeconds = ({ sentMs, endedMs, overMs }: Facts): number => Math.max(0, (endedMs >= sentMs ? endedMs : overMs) - sentMs) / 1_000

/** What a stream tells of the model's server: the first event is its first token, and the others come one by one. */
function observeStream(records: Records, facts: Facts, trace: string | undefined): void {
  const { beganMs, sentMs, eventMs, endedMs, overMs, error, usage, chunksOut } = facts
  records.firstChunk().observe((eventMs - beganMs) / 1_000, trace, overMs)
  if (sentMs > 0 && sentMs <= eventMs) records.firstToken().observe((eventMs - sentMs) / 1_000, trace, overMs)
  if (error !== undefined || endedMs <= eventMs) return
  const seconds = (endedMs - eventMs) / 1_000
  if (chunksOut > 1) records.eachChunk().observe(seconds / (chunksOut - 1))
  const later = (usage?.output ?? 0) - 1
  if (later > 0) records.eachToken().observe(seconds / later)
}

function observeTokens(records: Records, { usage }: Facts): void {
  if (usage === undefined) return
  if (usage.input >= 0) records.input().observe(usage.input)
  if (usage.output >= 0) records.output().observe(usage.output)
}

function serverLabels(url: URL): Labels {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port
  return { gen_ai_provider_name: providerOf(host), server_address: host, server_port: port }
}

function once<Item>(make: () => Item): () => Item {
  let made: Item | undefined
  return () => (made ??= make())
}
