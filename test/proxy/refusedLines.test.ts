import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SidecarError } from '../../sidecar/proxy/errors.ts'
import { refusedLines } from '../../sidecar/proxy/serve/refusedLines.ts'
import { handClock } from '../fixtures/handClock.ts'

// The story: an app gets 400 all night, and the log has nothing of it, for its requests never become calls.
test('requests that never become calls are told once a minute, with how many there were', () => {
  const clock = handClock()
  const lines: string[] = []
  const tell = refusedLines({ now: clock.now, say: (level, message) => void lines.push(`${level}: ${message}`) })
  const refused = (): void => {
    tell(new SidecarError('bad_request', 'the request is not valid HTTP (why)'))
  }
  refused()
  const first = 'warn: a request was refused before it was a call (bad_request): the request is not valid HTTP (why)'
  assert.deepEqual(lines, [first])
  refused()
  clock.pass(59_000)
  refused()
  assert.deepEqual(lines, [first])
  clock.pass(2_000)
  refused()
  assert.deepEqual(lines, [first, `${first}; 2 more since the last such line`])
  clock.pass(61_000)
  refused()
  assert.deepEqual(lines.slice(2), [first])
})
