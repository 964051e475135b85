import { json, type Answer } from './providerAnswer.ts'
import { newId, nowSeconds, textOf, tokensOf } from './providerText.ts'

export type SpeechRequest = { readonly input?: string; readonly response_format?: string }
export type ImageRequest = { readonly prompt?: string; readonly n?: number | null }
export type ModerationRequest = { readonly model?: string; readonly input?: unknown }

const audioTypes: Readonly<Record<string, string>> = {
  mp3: 'audio/mpeg',
  opus: 'audio/ogg',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
}

// The head of an MPEG-1 layer III frame, 128 kbit/s at 44.1 kHz, which is 417 bytes long; zeros after it are silence.
const silentFrame = Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x00]), Buffer.alloc(413)])

// One transparent pixel.
const onePixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='

/** POST /v1/audio/speech: silence, the longer the more there is to say. */
export function speechAnswer({ input = '', response_format: format = 'mp3' }: SpeechRequest): Answer {
  // About 38 frames last a second, and a token is spoken in a third of one.
  const frames = Math.max(10, tokensOf(input) * 13)
  const body = Buffer.concat(Array.from({ length: frames }, () => silentFrame))
  return { kind: 'bytes', type: audioTypes[format] ?? 'application/octet-stream', body, tokens: tokensOf(input) }
}

/** POST /v1/audio/transcriptions */
export function transcriptionAnswer(body: Buffer): Answer {
  const { values, file } = formOf(body)
  const text = `This is the fake transcript of ${file?.name ?? 'a file'}, which came in a form of ${body.length} bytes.`
  if (values['response_format'] === 'text')
    return { kind: 'bytes', type: 'text/plain; charset=utf-8', body: Buffer.from(`${text}\n`), tokens: 10 }
  return json({ text, usage: { type: 'duration', seconds: Math.ceil(body.length / 16_000) } }, 10)
}

/** POST /v1/files */
export function fileAnswer(body: Buffer): Answer {
  const { values, file } = formOf(body)
  return json({
    id: newId('file-'),
    object: 'file',
    bytes: file?.bytes ?? 0,
    created_at: nowSeconds(),
    filename: file?.name ?? '',
    purpose: values['purpose'] ?? '',
    status: 'processed',
  })
}

/** POST /v1/images/generations */
export function imageAnswer({ prompt = '', n }: ImageRequest): Answer {
  const count = n ?? 1
  const input = tokensOf(prompt)
  const output = 272 * count
  const usage = { input_tokens: input, input_tokens_details: { text_tokens: input, image_tokens: 0 }, output_tokens: output }
  const images = Array.from({ length: count }, () => ({ b64_json: onePixel }))
  return json({ created: nowSeconds(), data: images, usage: { ...usage, total_tokens: input + output } }, 40 * count)
}

const categories = ['harassment', 'hate', 'illicit', 'self-harm', 'sexual', 'violence']

/** POST /v1/moderations: nothing is ever flagged. */
export function moderationAnswer({ model = 'omni-moderation-latest', input }: ModerationRequest): Answer {
  const inputs = Array.isArray(input) && input.every((one) => typeof one === 'string') ? input : [textOf(input)]
  const all = <Value>(value: Value) => Object.fromEntries(categories.map((name) => [name, value]))
  const result = { flagged: false, categories: all(false), category_scores: all(0.0001), category_applied_input_types: all(['text']) }
  return json({ id: newId('modr-'), model, results: inputs.map(() => result) }, 1)
}

type Form = { readonly values: Readonly<Record<string, string>>; readonly file?: { readonly name: string; readonly bytes: number } }

/** The fields of a multipart form and its first file. Clients of a demo are kind: whatever it cannot read it passes over. */
export function formOf(body: Buffer): Form {
  const boundary = body.subarray(0, body.indexOf('\r\n'))
  const values: Record<string, string> = {}
  let file: Form['file']
  for (let from = boundary.length + 2; boundary.length > 2 && from < body.length;) {
    const headEnd = body.indexOf('\r\n\r\n', from)
    const end = body.indexOf(`\r\n${boundary.toString('latin1')}`, headEnd, 'latin1')
    if (headEnd < 0 || end < 0) break
    const head = body.toString('utf8', from, headEnd)
    const name = /[; ]name="([^"]*)"/.exec(head)?.[1] ?? ''
    const fileName = /filename="([^"]*)"/.exec(head)?.[1]
    if (fileName === undefined) values[name] = body.toString('utf8', headEnd + 4, end)
    else file ??= { name: fileName, bytes: end - headEnd - 4 }
    from = end + boundary.length + 4
  }
  return { values, ...(file && { file }) }
}
