import { refusesPrompts } from '../../fixtures/refusedPrompt.ts'

refusesPrompts({
  name: 'a prompt that is refused for its content',
  trigger: 'content_policy',
  said: [
    [400, { error: { message: 'Your request was rejected by our safety system', code: 'content_policy_violation' } }],
    [400, { error: { message: 'The response was filtered by the content management policy', code: 'content_filter' } }],
    [403, { error: { message: 'Your prompt was flagged', type: 'invalid_request_error' } }],
  ],
})
