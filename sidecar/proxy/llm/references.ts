import { skipSpace, stringEnd, valueEnd } from './body.ts'
import { eachMember, stringAt } from './members.ts'
import type { Operation } from './operation.ts'

/** What a request refers to that only the account that made it has. */
export interface References {
  readonly ids: readonly string[]
  /** True also where the reference has no id that could be looked up. */
  readonly bound: boolean
}

/** Whatever stands behind these in a path is an id, unless it is the name of something in them. */
const collections = new Set([
  'responses',
  'completions',
  'files',
  'uploads',
  'batches',
  'vector_stores',
  'file_batches',
  'conversations',
  'containers',
  'assistants',
  'threads',
  'runs',
  'jobs',
  'checkpoints',
  'evals',
  'videos',
  'skills',
])
const noIds = new Set(['stream', 'compact', 'input_tokens', 'search', 'cancel', 'content', 'messages'])

/** Names of what holds such ids, alone, in a list, or in an object with an `id`; anywhere in a body. */
const names = new Set([
  'previous_response_id',
  'conversation',
  'container',
  'file_id',
  'file_ids',
  'vector_store_id',
  'vector_store_ids',
  'input_file_id',
  'training_file',
  'validation_file',
  'assistant_id',
  'thread_id',
])
/**
 * Each name has one of these in it. Node searches for up to seven bytes from one place with the first of them to the next: they begin with
 * what is rare in a text. So 100 KB of prose take a microsecond, and not the ten of `file_id`.
 */
const marks = ['_id', '_file"', 'versati', 'contain']
/** From a mark to the ends of its name. */
const mostBefore = 20
const mostBehind = 10

const quote = 0x22
/** The reasoning of an earlier answer, by its id or sealed: other accounts have no key to it. */
const reasoning = Buffer.from('"rs_')
const sealed = Buffer.from('"encrypted_content"')
const sealedMark = '_conten'

/** More than any request has a use for. */
const mostIds = 32

/**
 * Whether a call can refer to such things at all. Embeddings cannot; a chat, and what is not about such things, seldom do, and then they say
 * so in these bytes.
 */
export function mayRefer(operation: Operation, path: string, body: Buffer | undefined): boolean {
  if (operation === 'other') {
    if (makesIds(operation, path) || path.startsWith('/chat/completions/')) return true
  } else if (operation === 'responses') return body !== undefined
  else if (operation !== 'chat' && operation !== 'messages') return false
  return body !== undefined && (has(body, '_id', 'file_id') || (operation === 'messages' && has(body, 'contain', 'container')))
}

function has(body: Buffer, mark: string, name: string): boolean {
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + 1)) if (nameAround(body, at)?.name === name) return true
  return false
}

/** The text in quotes around a place, with the place behind it. */
function nameAround(body: Buffer, at: number): { readonly name: string; readonly end: number } | undefined {
  let from = at - 1
  while (body[from] !== quote && from > at - mostBefore) from--
  let end = at + 1
  while (body[end] !== quote && end < at + mostBehind) end++
  return body[from] === quote && body[end] === quote ? { name: body.toString('latin1', from + 1, end), end: end + 1 } : undefined
}

/** Looks at the whole body; asked for only where calls could go to more than one account. */
export function referencesOf(path: string, body: Buffer | undefined): References {
  const ids = new Set<string>(idsOfPath(path))
  if (body === undefined || ids.size > 0) return { ids: [...ids], bound: ids.size > 0 }
  let notes: Range | undefined
  for (const mark of marks) {
    for (let at = body.indexOf(mark); at >= 0 && ids.size < mostIds; at = body.indexOf(mark, at + 1)) {
      const found = nameAround(body, at)
      if (found === undefined || !names.has(found.name)) continue
      const colon = skipSpace(body, found.end)
      if (body[colon] !== 0x3a) continue
      if (!found.name.includes('_')) {
        notes ??= metadataOf(body)
        if (at > notes.from && at < notes.to) continue
      }
      valuesAt(body, skipSpace(body, colon + 1), ids)
    }
  }
  for (let at = body.indexOf(reasoning); at >= 0 && ids.size < mostIds; at = body.indexOf(reasoning, at + 1)) valuesAt(body, at, ids)
  return { ids: [...ids], bound: ids.size > 0 || (body.includes(sealedMark) && body.includes(sealed)) }
}

interface Range {
  readonly from: number
  readonly to: number
}

/** What the client says to itself: there a conversation or a container is whatever the app calls so. */
function metadataOf(body: Buffer): Range {
  let range: Range = { from: 0, to: 0 }
  eachMember(body, (name, from, to) => {
    if (name === 'metadata') range = { from, to }
  })
  return range
}

function idsOfPath(path: string): string[] {
  const query = path.indexOf('?')
  const parts = (query < 0 ? path : path.slice(0, query)).split('/')
  return parts.filter((part, at) => {
    if (part === '' || noIds.has(part) || collections.has(part)) return false
    return collections.has(parts[at - 1] ?? '')
  })
}

function valuesAt(body: Buffer, from: number, ids: Set<string>): void {
  const first = body[from]
  if (first === 0x22) add(stringAt(body, from, stringEnd(body, from)), ids)
  else if (first === 0x5b) {
    for (let at = skipSpace(body, from + 1); body[at] === 0x22 && ids.size < mostIds;) {
      const end = stringEnd(body, at)
      add(stringAt(body, at, end), ids)
      const comma = skipSpace(body, end)
      at = body[comma] === 0x2c ? skipSpace(body, comma + 1) : body.length
    }
  } else if (first === 0x7b) {
    const inner = body.toString('utf8', from, Math.min(valueEnd(body, from), from + 1_024))
    add(/^\{\s*"id"\s*:\s*"([^"\\]{1,256})"/.exec(inner)?.[1], ids)
  }
}

/** `auto` is how a container is asked for that does not exist yet. */
const add = (id: string | undefined, ids: Set<string>): void => {
  if (id !== undefined && id !== '' && id !== 'auto' && id.length <= 256) ids.add(id)
}

const known =
  /"(?:id|file_id|container_id|conversation_id|output_file_id|error_file_id|thread_id|vector_store_id)"\s*:\s*"((?:resp|rs|file|vs|vsfb|batch|msgbatch|cntr|container|conv|asst|thread|run|upload|ftjob|video|eval|skill)[-_][\w.:-]{1,200})"/g
const any = /"id"\s*:\s*"([^"\\]{1,256})"/

/** Whether an answer to such a call may tell of something that later calls refer to. */
export function makesIds(operation: Operation, path: string): boolean {
  if (operation === 'responses') return true
  if (operation !== 'other') return false
  const [, collection = '', next = ''] = path.split(/[/?]/, 3)
  return collections.has(collection) || collection === 'fine_tuning' || (collection === 'messages' && next === 'batches')
}

/** Whether a call of Anthropic's may make a container, which later calls name: only a tool that runs code has one. */
export const makesContainer = (body: Buffer): boolean => body.includes('_execut')

/** Of the beginning of an answer, what is searched for all kinds of ids. */
const mostSearched = 8 * 1024
/** Of these the answer may tell behind instructions or texts that are long. Those of reasoning are all there is for who keeps nothing at the provider. */
const late = ['"rs_', '"cntr_', '"container_'].map((mark) => Buffer.from(mark))
const nameBytes = 32
const idBytes = 256

/**
 * The ids in the beginning of an answer, or of its events, that later calls may refer to. Those of chat completions are none: they are only
 * kept where somebody asked for it, and nearly every call makes one.
 */
export function idsMade(path: string, start: Buffer): readonly string[] {
  const ids = new Set<string>()
  const search = (text: string): void => {
    for (const [, id] of text.matchAll(known)) if (ids.size < mostIds) add(id, ids)
  }
  const text = start.toString('latin1', 0, mostSearched)
  search(text)
  for (const mark of start.length > mostSearched ? late : []) {
    const at = start.lastIndexOf(mark)
    if (at > mostSearched - idBytes) search(start.toString('latin1', at - nameBytes, at + idBytes))
  }
  // Where something of that kind is made or asked for, its id may look like anything.
  if (!/^\/responses(?:[/?]|$)/.test(path) && makesIds('other', path)) add(any.exec(text)?.[1], ids)
  return [...ids]
}
