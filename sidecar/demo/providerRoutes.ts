import { json, type Answer } from './providerAnswer.ts'
import { chatAnswer, type ChatRequest } from './providerChat.ts'
import { completionAnswer, type CompletionRequest } from './providerCompletions.ts'
import { embeddingsAnswer, type EmbeddingsRequest } from './providerEmbeddings.ts'
import { problems, refusal, type Dialect } from './providerErrors.ts'
import * as media from './providerMedia.ts'
import { countTokensAnswer, messagesAnswer, type MessagesRequest } from './providerMessages.ts'
import { responsesAnswer, type ResponsesRequest } from './providerResponses.ts'

export type Asked = {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly dialect: Dialect
  readonly body: Buffer
  readonly models: readonly string[]
  readonly requestId: string
}

type Endpoint = (asked: Asked) => Answer

const modelsPath = '/v1/models'

// The provider is older than the models it might be asked about.
const created = 1_735_689_600

const endpoints: Readonly<Record<string, Endpoint>> = {
  [`GET ${modelsPath}`]: ({ models }) => json({ object: 'list', data: models.map(modelOf) }),
  'POST /v1/chat/completions': about((request: ChatRequest) => chatAnswer(request)),
  'POST /v1/completions': about((request: CompletionRequest) => completionAnswer(request)),
  'POST /v1/responses': about((request: ResponsesRequest) => responsesAnswer(request)),
  'POST /v1/embeddings': about((request: EmbeddingsRequest) => embeddingsAnswer(request)),
  'POST /v1/audio/speech': about((request: media.SpeechRequest) => media.speechAnswer(request)),
  'POST /v1/moderations': reading((request: media.ModerationRequest) => media.moderationAnswer(request)),
  'POST /v1/images/generations': reading((request: media.ImageRequest) => media.imageAnswer(request)),
  'POST /v1/audio/transcriptions': ({ body }) => media.transcriptionAnswer(body),
  'POST /v1/files': ({ body }) => media.fileAnswer(body),
  'POST /v1/messages': about((request: MessagesRequest) => messagesAnswer(request)),
  'POST /v1/messages/count_tokens': about((request: MessagesRequest) => countTokensAnswer(request)),
}

/** Finds the endpoint and lets it answer; what cannot be answered is refused in the words of the dialect. */
export function answerTo(asked: Asked): Answer {
  const endpoint = endpoints[`${asked.method} ${asked.path}`]
  if (endpoint !== undefined) return endpoint(asked)
  if (asked.method === 'GET' && asked.path.startsWith(`${modelsPath}/`)) return oneModel(asked)
  return refusal(asked.dialect, problems.noPathLike(asked.method, asked.path), asked.requestId)
}

/** An endpoint that reads a JSON object which must name a model we have. */
function about<Request extends object>(answer: (request: Request) => Answer): Endpoint {
  return (asked) =>
    reading((request: Request & { readonly model?: unknown }) => {
      const { dialect, models, requestId } = asked
      if (typeof request.model !== 'string') return refusal(dialect, problems.noModel, requestId)
      if (!models.includes(request.model)) return refusal(dialect, problems.noModelLike(request.model), requestId)
      return answer(request)
    })(asked)
}

/** An endpoint that reads a JSON object. */
function reading<Request extends object>(answer: (request: Request) => Answer): Endpoint {
  return ({ body, dialect, requestId }) => {
    const request = objectIn(body)
    return request === undefined ? refusal(dialect, problems.badJson, requestId) : answer(request as Request)
  }
}

function objectIn(body: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function oneModel({ path, models, dialect, requestId }: Asked): Answer {
  const name = decodeURIComponent(path.slice(modelsPath.length + 1))
  return models.includes(name) ? json(modelOf(name)) : refusal(dialect, problems.noModelLike(name), requestId)
}

function modelOf(id: string): object {
  return { id, object: 'model', created, owned_by: 'demo' }
}
