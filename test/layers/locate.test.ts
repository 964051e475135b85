import assert from 'node:assert/strict'
import { test } from 'node:test'
import { locate } from '../../sidecar/proxy/layers/locate.ts'
import { aCall, aReply, script } from '../fixtures/calls.ts'

const kindOf = async (path: string | undefined): Promise<unknown> =>
  locate({ passHealth: false })(script(aReply()))(aCall({ path })).then(
    () => 'passed',
    (err: { kind: string }) => err.kind,
  )

test('a call without a path of ours is not found', async () => {
  assert.equal(await kindOf(undefined), 'not_found')
})

test('dots that are no segment pass', async () => {
  for (const path of [
    '',
    '/',
    '?..',
    '/a?/../b',
    '/...',
    '/.hidden',
    '/a..b',
    '/a.',
    '/..a',
    '/gpt-4.1',
    '/a%2eb',
    '/%2e%2e%2e',
    '/%',
    '/%2',
    '/%zz',
    '/a%252520b',
    '//',
    '/a;..b',
  ]) {
    assert.equal(await kindOf(path), 'passed', path)
  }
})

test('dots that are a segment do not, as any server may read them', async () => {
  for (const path of [
    '/..',
    '/.',
    '/../',
    '/a/..',
    '/a/..?x',
    '/%2e',
    '/.%2E/',
    '/%252e%252e',
    '/..%2f',
    '/..%255c',
    '/..;x',
    '/a%2f..',
    '/..%00',
    '/..%3fx',
  ]) {
    assert.equal(await kindOf(path), 'bad_request', path)
  }
})

test('the operation is known below', async () => {
  const next = script(aReply())
  await locate({ passHealth: false })(next)(aCall({ path: '/embeddings?x=1', facts: { operation: 'other' } }))
  assert.equal(next.calls[0]?.facts.operation, 'embeddings')
})
