import type { Call, Facts } from '../proxy/call.ts'
import { tellsTokens } from '../proxy/llm/usage.ts'
import { bounded } from './bounded.ts'
import { genAiDurations, genAiTokens } from './catalogue.ts'
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
  readonly input: () => Spread
  readonly output: () => Spread
}

/** The metrics of OpenTelemetry's conventions for calls of models; `errorType` is empty for a call that went well. */
export function genAi(all: Exposition, mostModels: number, urlOf: (upstream: string) => URL | undefined) {
  const durations = histograms(all, 'gen_ai_client_operation_duration_seconds', genAiDurations)
  const firstChunks = histograms(all, 'gen_ai_client_operation_time_to_first_chunk_seconds', genAiDurations)
  const tokens = histograms(all, 'gen_ai_client_token_usage', genAiTokens)

  const recordsOf = (labels: Labels): Records => ({
    duration: remembered((errorType: string) => durations(errorType === '' ? labels : { ...labels, error_type: errorType })),
    firstChunk: once(() => firstChunks(labels)),
    input: once(() => tokens({ ...labels, gen_ai_token_type: 'input' })),
    output: once(() => tokens({ ...labels, gen_ai_token_type: 'output' })),
  })
  const upstreamOf = remembered((upstream: string) => {
    const server = serverLabels(urlOf(upstream))
    return remembered((operation: string) =>
      bounded(mostModels, 'other', (model) => {
        const labels = { gen_ai_operation_name: operationNames[operation] ?? operation, ...server, gen_ai_request_model: model }
        const unknown = once(() => recordsOf(labels))
        const served = bounded(mostServed, 'other', (name) => recordsOf({ ...labels, gen_ai_response_model: name }))
        return (name: string) => (name === '' ? unknown() : served(name))
      }),
    )
  })

  return ({ facts }: Call, seconds: number, errorType: string, trace: string | undefined): void => {
    if (facts.attempts === 0 || !tellsTokens(facts.operation)) return
    const records = upstreamOf(facts.upstream)(facts.operation)(facts.model)(facts.usage?.model ?? '')
    records.duration(errorType).observe(seconds, trace)
    if (facts.eventMs > 0) records.firstChunk().observe((facts.eventMs - facts.beganMs) / 1_000, trace)
    observeTokens(records, facts)
  }
}

function observeTokens(records: Records, { usage }: Facts): void {
  if (usage === undefined) return
  if (usage.input >= 0) records.input().observe(usage.input)
  if (usage.output >= 0) records.output().observe(usage.output)
}

function serverLabels(url: URL | undefined): Labels {
  if (url === undefined) return {}
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port
  return { gen_ai_provider_name: providerOf(host), server_address: host, server_port: port }
}

function once<Item>(make: () => Item): () => Item {
  let made: Item | undefined
  return () => (made ??= make())
}
