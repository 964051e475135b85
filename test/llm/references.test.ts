import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { idsMade, makesIds, mayRefer, referencesOf } from '../../sidecar/proxy/llm/references.ts'

const inBody = (value: unknown): readonly string[] => referencesOf('/responses', Buffer.from(JSON.stringify(value))).ids

const paths: readonly (readonly [string, readonly string[]])[] = [
  ['/responses/resp_1?stream=true', ['resp_1']],
  ['/responses/resp_1/cancel', ['resp_1']],
  ['/responses', []],
  ['/responses/compact', []],
  ['/files/file-1/content', ['file-1']],
  ['/files?limit=3', []],
  ['/batches/batch_1/cancel', ['batch_1']],
  ['/messages/batches/msgbatch_1/results', ['msgbatch_1']],
  ['/messages/count_tokens', []],
  ['/vector_stores/vs_1/files/file-1', ['vs_1', 'file-1']],
  ['/vector_stores/vs_1/search', ['vs_1']],
  ['/threads/thread_1/messages', ['thread_1']],
  ['/threads/runs', []],
  ['/fine_tuning/jobs/ftjob-1/checkpoints', ['ftjob-1']],
  ['/chat/completions', []],
  ['/chat/completions/stream', []],
  ['/chat/completions/chatcmpl-1/messages', ['chatcmpl-1']],
  ['/containers/cntr_1/files/cfile_1/content', ['cntr_1', 'cfile_1']],
  ['/models/gpt-4.1', []],
]

for (const [path, ids] of paths) {
  test(`${path} refers to ${ids.length === 0 ? 'nothing' : ids.join(' and ')}`, () => {
    assert.deepEqual(referencesOf(path, undefined), { ids, bound: ids.length > 0 })
  })
}

test('a body refers to what it names, wherever it stands', () => {
  assert.deepEqual(inBody({ previous_response_id: 'resp_1', input: 'hi' }), ['resp_1'])
  assert.deepEqual(inBody({ conversation: { id: 'conv_1' } }), ['conv_1'])
  assert.deepEqual(inBody({ conversation: 'conv_2' }), ['conv_2'])
  assert.deepEqual(inBody({ input: [{ content: [{ type: 'input_file', file_id: 'file-1' }] }] }), ['file-1'])
  assert.deepEqual(inBody({ tools: [{ type: 'file_search', vector_store_ids: ['vs_1', 'vs_2'] }] }), ['vs_1', 'vs_2'])
  assert.deepEqual(inBody({ tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }), ['cntr_1'])
  assert.deepEqual(inBody({ tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: ['file-2'] } }] }), ['file-2'])
  assert.deepEqual(inBody({ input_file_id: 'file-3', endpoint: '/v1/chat/completions' }), ['file-3'])
  assert.deepEqual(inBody({ input: [{ type: 'reasoning', id: 'rs_1' }] }), ['rs_1'])
})

test('a body that only talks of such things refers to none', () => {
  assert.deepEqual(inBody({ messages: [{ content: '"file_id": "file-1" and "previous_response_id":"resp_1"' }] }), [])
  assert.deepEqual(inBody({ tools: [{ function: { parameters: { properties: { file_id: { type: 'string' } } } } }] }), [])
  assert.deepEqual(inBody({ tools: [{ function: { parameters: { required: ['file_id', 'page'] } } }] }), [])
  assert.deepEqual(inBody({ previous_response_id: null, conversation: '' }), [])
  assert.deepEqual(inBody({ input: 'hi', metadata: { conversation: 'my-1', container: 'pod-1' } }), [])
  assert.deepEqual(inBody({ conversation: 'conv_1', metadata: { conversation: 'my-1' } }), ['conv_1'])
})

test('only calls that can refer to something are looked through', () => {
  const chat = (value: unknown): boolean => mayRefer('chat', '/chat/completions', Buffer.from(JSON.stringify(value)))
  assert.equal(chat({ messages: [{ content: [{ type: 'file', file: { file_id: 'file-1' } }] }] }), true)
  assert.equal(
    chat({ messages: [{ content: 'the file_id, a "file_id" and my_file_id' }], tool_call_id: 'call_1', user_file_ids: [] }),
    false,
  )
  assert.equal(chat({ messages: [], container: 'container_1' }), false)
  assert.equal(mayRefer('messages', '/messages', Buffer.from('{"container":"container_1"}')), true)
  assert.equal(mayRefer('messages', '/messages', Buffer.from('{"messages":[{"content":"a container contains"}]}')), false)
  assert.equal(mayRefer('embeddings', '/embeddings', Buffer.from('{"file_id":"file-1"}')), false)
  assert.equal(mayRefer('responses', '/responses', undefined), false)
  assert.equal(mayRefer('other', '/files/file-1', undefined), true)
  assert.equal(mayRefer('other', '/chat/completions/chatcmpl-1', undefined), true)
  assert.equal(mayRefer('other', '/audio/speech', undefined), false)
  assert.equal(mayRefer('other', '/rerank', Buffer.from('{"documents":[{"container":"1"}]}')), false)
  assert.equal(mayRefer('other', '/images/edits', Buffer.from('{"images":[{"file_id":"file-1"}]}')), true)
})

test('only answers in which something is made are learned from', () => {
  for (const path of [
    '/files',
    '/files?limit=1',
    '/vector_stores/vs_1/files',
    '/fine_tuning/jobs',
    '/messages/batches',
    '/responses/resp_1',
  ]) {
    assert.equal(makesIds('other', path), true, path)
  }
  for (const path of ['/audio/speech', '/moderations', '/messages/count_tokens', '/chat/completions/chatcmpl-1', '/', '']) {
    assert.equal(makesIds('other', path), false, path)
  }
  assert.equal(makesIds('responses', '/responses'), true)
  for (const operation of ['chat', 'completions', 'messages', 'embeddings', 'models'] as const) assert.equal(makesIds(operation, ''), false)
})

test('sealed reasoning binds a call to an account, though nobody can say to which', () => {
  assert.deepEqual(referencesOf('/responses', Buffer.from('{"input":[{"encrypted_content":"gAAA"}]}')), { ids: [], bound: true })
})

test('an answer tells what was made', () => {
  const made = (path: string, value: unknown): readonly string[] =>
    idsMade(path, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))
  assert.deepEqual(
    made('/responses', { id: 'resp_1', object: 'response', conversation: { id: 'conv_1' }, output: [{ id: 'rs_1' }, { id: 'msg_1' }] }),
    ['resp_1', 'conv_1', 'rs_1'],
  )
  assert.deepEqual(
    made('/responses', 'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_2","object":"response"}}\n\n'),
    ['resp_2'],
  )
  assert.deepEqual(made('/files', { id: 'file-1', object: 'file' }), ['file-1'])
  assert.deepEqual(made('/files', { object: 'file', id: 'anything-goes' }), ['anything-goes'])
  assert.deepEqual(made('/batches', { id: 'batch_1', output_file_id: 'file-2' }), ['batch_1', 'file-2'])
  assert.deepEqual(made('/messages/batches', { id: 'msgbatch_1', type: 'message_batch' }), ['msgbatch_1'])
  assert.deepEqual(made('/messages', { id: 'msg_1', container: { id: 'container_1' } }), ['container_1'])
  assert.deepEqual(made('/chat/completions', { id: 'chatcmpl-1', choices: [] }), [])
  assert.deepEqual(made('/responses', 'garbage'), [])
})

test('an answer tells of containers and reasoning behind texts of any length', () => {
  const long = 'word '.repeat(4_000)
  const made = (value: unknown): readonly string[] => idsMade('/responses', Buffer.from(JSON.stringify(value)))
  assert.deepEqual(
    made({ id: 'resp_1', instructions: long, output: [{ id: 'rs_1' }, { type: 'code_interpreter_call', container_id: 'cntr_1' }] }),
    ['resp_1', 'rs_1', 'cntr_1'],
  )
  assert.deepEqual(made({ id: 'msg_1', content: [{ text: long }], container: { id: 'container_1', expires_at: '' } }), ['container_1'])
  for (let pad = 8 * 1024 - 300; pad < 8 * 1024 + 300; pad += 7) assert.deepEqual(made({ pad: 'x'.repeat(pad), id: 'rs_1' }), ['rs_1'])
})

test('no body makes the search throw, and it finds no more than a request has a use for', () => {
  const piece = fc.constantFrom('"file_ids"', ':', '[', '"a"', ',', ']', '{', '}', '"id"', '"container"', ' ', '\\', '"', '"rs_1"')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      assert.ok(referencesOf('/responses', Buffer.from(pieces.join(''))).ids.length <= 32)
    }),
    { numRuns: 5_000 },
  )
  assert.equal(inBody({ file_ids: Array.from({ length: 1_000 }, (_, n) => `file-${n}`) }).length, 32)
})
