import { answers, deadUpstream, hangUp, type Step } from '../../fixtures/provider.ts'
import type { Owner } from '../../fixtures/providerExchange.ts'
import type { Sidecar } from '../../fixtures/startSidecar.ts'
import { chatCall, messagesCall, send, type Asking } from '../asking.ts'
import { callScene, type CallScene } from '../callScene.ts'
import type { Chapter } from '../scene.ts'

const down = answers(503, { error: { message: 'The server is overloaded', type: 'server_error' } })
const limited = answers(429, { error: { message: 'Rate limit reached', type: 'rate_limit_error' } }, { 'retry-after': '120' })
const wrongKey = answers(401, { error: { message: 'Incorrect API key provided', type: 'invalid_request_error', code: 'invalid_api_key' } })
const never = { retry: { attempts: 3, backoff: '1ms', throttledBackoff: '1ms', longestBackoff: '1ms' } }

/** Some calls before the one that is looked at. */
const after =
  (before: readonly Asking[], asking: Asking) =>
  async (t: Owner, { port }: Sidecar): Promise<string> => {
    for (const one of before) await send(t, port, one)
    return send(t, port, asking)
  }

const respond = (fields: object = {}, headers: Record<string, string> = {}): Asking => ({
  path: '/v1/responses',
  body: JSON.stringify({ model: 'gpt-4o-mini', input: 'Hi', ...fields }),
  headers,
})
const maker = (name: string): Step => answers(200, { id: `resp_${name}`, object: 'response' })

/** Two accounts have made a response each, before a call refers to one of them. */
function pinned(asking: Asking, more: Partial<CallScene> = {}): Partial<CallScene> {
  return {
    upstream: maker('north'),
    others: [maker('south')],
    document: { routing: { strategy: 'round_robin', overrides: { upstreams: ['north', 'south'] } } },
    each: [{ tier: 1 }, { tier: 1 }],
    asking,
    act: after([respond(), respond()], asking),
    where: 'resp_north was made by north, resp_south by south, which are two accounts',
    calls: 3,
    ...more,
  }
}

/** Where there are several upstreams, and none of them can answer. */
export const many: Chapter = {
  title: 'No upstream can be asked',
  scenes: [
    callScene('a model that no upstream has', {
      kind: 'no_upstream',
      says: ['gpt-4o-mini', 'no upstream has it: the app must name one of upstreams[].models', 'x-should-retry: false'],
      own: { models: ['llama-3'] },
      upstream: [],
    }),
    callScene('the same at /v1/messages, in the shape of Anthropic', {
      kind: 'no_upstream',
      says: ['gpt-4o-mini', 'overloaded_error'],
      own: { models: ['llama-3'] },
      upstream: [],
      asking: messagesCall,
    }),
    callScene('no model named, and no upstream takes its key', {
      kind: 'no_upstream',
      says: ['none named', 'auth_failed'],
      upstream: wrongKey,
      others: [wrongKey],
      asking: { path: '/v1/files' },
      act: after([{ path: '/v1/files' }], { path: '/v1/files' }),
      where: 'after a call that was answered with 401',
      calls: 2,
    }),
    callScene('no upstream takes its key', {
      kind: 'no_upstream',
      says: ['north is auth_failed', 'south is auth_failed', 'tried again in 60 s', 'retry-after: 60', 'retry_in_seconds'],
      upstream: wrongKey,
      others: [wrongKey],
      act: after([chatCall], chatCall),
      where: 'after a call that both answered with 401',
      calls: 2,
    }),
    callScene('all upstreams fail', {
      kind: 'no_reply',
      says: ['"name":"north"', '"name":"south"', 'not_repeated'],
      upstream: hangUp(),
      others: [hangUp()],
    }),
    callScene('an upstream that is alone and not there', {
      kind: 'connect_failed',
      says: ['3 attempts'],
      at: async () => ({ url: await deadUpstream() }),
    }),
    callScene('repeats have been too many lately', {
      kind: 'no_reply',
      says: ['budget_rate', 'too many repeats lately'],
      upstream: hangUp(),
      document: { retry: { budget: { rate: 0, leastRate: 0 } }, health: { failures: 1_000_000, successRate: 0 } },
      asking: chatCall,
    }),
    callScene('an upload, which is not kept for a repeat', {
      kind: 'no_reply',
      says: ['not_kept', 'not repeated'],
      upstream: hangUp(),
      asking: {
        path: '/v1/audio/transcriptions',
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: '--b\r\ncontent-disposition: form-data; name=model\r\n\r\nwhisper-1\r\n--b--\r\n',
        shown: 'form.bin',
      },
    }),
    callScene('too little time is left for another attempt', {
      kind: 'no_reply',
      says: ['deadline', 'too little time'],
      upstream: hangUp(),
      document: { timeouts: { total: '2s' }, retry: { leastLeft: '3s' } },
    }),
    callScene('the client asks for one attempt only', {
      kind: 'no_reply',
      says: ['attempts'],
      upstream: hangUp(),
      document: { retry: { attemptsIfRepeated: 1 } },
      asking: { ...chatCall, headers: { 'x-stainless-retry-count': '1' } },
    }),
    callScene('a call refers to what two accounts made', {
      kind: 'bad_request',
      says: ['resp_north', 'resp_south', 'no upstream has both'],
      ...pinned(respond({ previous_response_id: 'resp_north', input: [{ file_id: 'resp_south' }] })),
    }),
    callScene('what it refers to is elsewhere than x-outrider-upstream says', {
      kind: 'bad_request',
      says: ['resp_south', 'x-outrider-upstream asks for north'],
      ...pinned(respond({ previous_response_id: 'resp_south' }, { 'x-outrider-upstream': 'north' })),
    }),
    callScene('what it refers to is where its route does not go', {
      kind: 'bad_request',
      says: ['resp_south', 'route small does not go there'],
      ...pinned(respond({ previous_response_id: 'resp_south', model: 'mini' }), {
        document: {
          routing: { strategy: 'round_robin' },
          routes: [{ name: 'small', models: ['mini'], upstreams: ['north', 'west'] }],
        },
        others: [maker('south'), maker('west')],
        each: [{ tier: 1 }, { tier: 1 }, { tier: 1 }],
        act: after([respond(), respond(), respond()], respond({ previous_response_id: 'resp_south', model: 'mini' })),
        calls: 4,
      }),
    }),
    callScene('what it refers to is where its model is not', {
      kind: 'bad_request',
      says: ['resp_north', 'does not have model other'],
      ...pinned(respond({ previous_response_id: 'resp_north', model: 'other' }), {
        each: [{ tier: 1, models: ['gpt-4o-mini'] }, { tier: 1 }],
      }),
    }),
    callScene('the account that it needs is over its limit', {
      kind: 'no_upstream',
      says: ['resp_north', 'which upstream north made', 'limited'],
      ...pinned(respond({ previous_response_id: 'resp_north' }), {
        upstream: [maker('north'), limited],
        act: after(
          [respond(), respond(), respond({ previous_response_id: 'resp_north' })],
          respond({ previous_response_id: 'resp_north' }),
        ),
        document: { ...never, routing: { strategy: 'round_robin' } },
        where: 'resp_north was made by north, which is over its limit now',
        calls: 4,
      }),
    }),
    callScene('the list of models, where no upstream gives one', {
      kind: 'no_upstream',
      says: ['north: status 503', 'south: no_reply'],
      upstream: down,
      others: [hangUp()],
      document: { local: { models: true } },
      asking: { path: '/v1/models' },
    }),
    callScene('the list of models, where one has no end', {
      kind: 'no_upstream',
      says: ['south: no_reply', 'north: bad_reply', 'its list of models is too long'],
      upstream: answers(200, `{"data":[${'{"id":"m"},'.repeat(500_000)}{"id":"n"}]}`),
      others: [hangUp()],
      document: { local: { models: true } },
      asking: { path: '/v1/models' },
    }),
  ],
}
