import { refusesPrompts } from '../../fixtures/refusedPrompt.ts'

refusesPrompts({
  name: 'a prompt that is too long for the model',
  trigger: 'context_window',
  said: [
    [400, { error: { message: "This model's maximum context length is 8192 tokens", code: 'context_length_exceeded' } }],
    [400, { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' } }],
    [400, [{ error: { code: 400, status: 'INVALID_ARGUMENT', message: 'The input token count (1100000) exceeds the maximum' } }]],
    [413, { error: { message: 'Please reduce the length of the messages or completion', type: 'invalid_request_error' } }],
  ],
})
