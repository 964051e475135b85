import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { answering, demoModels } from '../../sidecar/demo/provider.ts'
import { chatChunks } from '../../sidecar/demo/providerChat.ts'
import { answers, provider, type Provider, type Seen, type Step } from '../fixtures/provider.ts'
import { startSidecar, testKey, type Document, type Sidecar } from '../fixtures/startSidecar.ts'

/** What an app in the pod has for a key: nothing that is worth stealing. */
export const placeholder = 'placeholder'

/** All that an unchanged client is told. Anthropic's clients put /v1 in front of their paths themselves. */
export const clientEnv = (origin: string): Readonly<Record<string, string>> => ({
  OPENAI_BASE_URL: `${origin}/v1`,
  OPENAI_API_BASE: `${origin}/v1`,
  OPENAI_API_KEY: placeholder,
  ANTHROPIC_BASE_URL: origin,
  ANTHROPIC_API_KEY: placeholder,
})

/** The fake provider's own answer, for whoever shows the key that only the sidecar has. */
export const demo = (): Step => {
  // Models under which no client says that they will be withdrawn.
  const answer = answering({ expectKey: testKey, models: [...demoModels, 'claude-demo'] })
  return ({ req, res, seen, leave }) => answer(req, res, { seen, leave })
}

/** What an error of a provider looks like in both of the dialects at once: each client reads its own part. */
export const failing = (status: number, headers: Readonly<Record<string, string>> = {}): Step =>
  answers(status, { type: 'error', error: { type: 'demo_error', message: `scripted ${status}`, code: null, param: null } }, headers)

/** Repeat at once: the wait is the client's own, and the test need not sit through it. */
export const atOnce = { 'retry-after-ms': '1' }

export type Behind = { readonly sidecar: Sidecar; readonly upstream: Provider }

/** A sidecar in front of a provider with this script, and this process's environment pointing at it until the test is over. */
export async function behindSidecar(
  t: TestContext,
  script: Step | readonly Step[] = demo(),
  document: Document = {},
  upstream: Document = {},
): Promise<Behind> {
  const fake = await provider(t, script)
  const sidecar = await startSidecar(t, fake.url, document, upstream)
  lend(t, clientEnv(sidecar.origin))
  return { sidecar, upstream: fake }
}

/** A sidecar whose upstream refuses every connection. */
export async function behindDeadUpstream(t: TestContext, url: string): Promise<Sidecar> {
  const sidecar = await startSidecar(t, url)
  lend(t, clientEnv(sidecar.origin))
  return sidecar
}

/** Tests of a file run one after the other, so that an environment is never lent twice. */
function lend(t: TestContext, env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env)) {
    const before = process.env[name]
    process.env[name] = value
    t.after(() => {
      if (before === undefined) delete process.env[name]
      else process.env[name] = before
    })
  }
}

/** The key went on at the sidecar, and the placeholder stayed in the pod. */
export function keyWasChanged({ upstream }: Pick<Behind, 'upstream'>): void {
  assert.ok(upstream.seen.length > 0)
  for (const { rawHeaders, headers } of upstream.seen) {
    assert.ok([`Bearer ${testKey}`, testKey].includes(String(headers.authorization ?? headers['x-api-key'])))
    assert.equal(
      rawHeaders.some((text) => text.includes(placeholder)),
      false,
    )
  }
}

/** How many attempts reached the upstream. */
export const attempts = ({ upstream }: Behind): number => upstream.seen.length

/** Resolves when the upstream has seen its client go; rejects where the client stayed to the end. */
export async function gone({ upstream }: Behind, n = 0): Promise<void> {
  const seen: Seen = await upstream.request(n)
  assert.equal(await seen.closed, true, 'the upstream was not told that its client had left')
}

/** The chunks of a chat that says this, up to but without its end. */
export const spoken = (text: string): object[] =>
  chatChunks({ model: 'gpt-4o-mini' }, text).filter(({ choices }) => choices[0]?.finish_reason === null)

export const times = (count: number, step: Step): Step[] => Array.from({ length: count }, () => step)

/** The events of a message in Anthropic's form, up to but without its end. */
export const messageBegun: readonly object[] = [
  {
    type: 'message_start',
    message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], usage: { input_tokens: 1, output_tokens: 1 } },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'one' } },
]
