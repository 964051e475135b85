import { fails } from '../../fixtures/failing.ts'
import { answers } from '../../fixtures/provider.ts'

const lie = { outcome: 'bad_reply', says: 'status 200, but no answer', attempts: 1, status: 200, passes: true } as const

// Where nobody could take over it passes as it is: some upstreams call their answers by a wrong name, and clients read them all the same.
fails('200 with a text that is no JSON', {
  step: answers(200, 'Service is starting', { 'content-type': 'text/plain' }),
  ...lie,
})
fails('200 with an image', { step: answers(200, Buffer.from([0x89, 0x50]), { 'content-type': 'image/png' }), ...lie })
fails('JSON in place of the stream that was asked for', { step: answers(200, { choices: [] }), stream: true, ...lie })
