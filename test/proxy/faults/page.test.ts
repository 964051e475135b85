import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails } from '../../fixtures/failing.ts'
import { answers } from '../../fixtures/provider.ts'
import { ask, startUpstreams } from '../../fixtures/startUpstreams.ts'

const page = answers(200, '<html>login</html>', { 'content-type': 'text/html; charset=utf-8' })
const lie = { outcome: 'bad_reply', says: 'status 200, but no answer', attempts: 3, status: 200 } as const

fails('200 with a page for browsers', { step: page, ...lie })
fails('200 with a page for browsers in place of a stream', { step: page, stream: true, ...lie })

test('what nobody can take over passes as it came', async (t) => {
  const { sidecar } = await startUpstreams(t, [page], { retry: { attempts: 1 } })
  const told = await ask(sidecar)
  assert.deepEqual([told.text, told.headers.get('content-type')], ['<html>login</html>', 'text/html; charset=utf-8'])
})
