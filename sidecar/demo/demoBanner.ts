import { moods } from './providerMoods.ts'

export type Addresses = {
  /** Origin of the proxy, e.g. `http://localhost:8080`. */
  readonly url: string
  readonly adminUrl: string
  /** The port that was asked for, when another had to be taken. */
  readonly takenPort?: number
}

const isJson = "-H 'content-type: application/json' \\"
const words = `"messages":[{"role":"user","content":"Hi"}]}'`

/** What a newcomer sees and can paste, at most 80 columns wide. */
export function banner({ url, adminUrl, takenPort }: Addresses, colour: boolean): string {
  const bold = (text: string) => (colour ? `\u001B[1m${text}\u001B[22m` : text)
  const block = (title: string, ...lines: string[]) => [bold(title), ...lines.map((line) => `  ${line}`), '']
  return [
    '',
    bold('Outrider stands between your app and two fake LLM providers, north and south.'),
    ...(takenPort === undefined ? [] : [`Port ${takenPort} is taken, so a free one is used.`]),
    '',
    `  base URL   ${url}/v1`,
    '  key        none: the app needs no key, the proxy holds it',
    `  admin      ${adminUrl}`,
    '',
    ...block('Which models are there', `curl ${url}/v1/models`),
    ...block('Chat', `curl ${url}/v1/chat/completions \\`, `  ${isJson}`, `  -d '{"model":"gpt-4o-mini",${words}`),
    ...block(
      'Chat, as a stream',
      `curl -N ${url}/v1/chat/completions \\`,
      `  ${isJson}`,
      `  -d '{"model":"gpt-4o-mini","stream":true,`,
      `       ${words}`,
    ),
    ...block(
      'Embeddings',
      `curl ${url}/v1/embeddings \\`,
      `  ${isJson}`,
      `  -d '{"model":"text-embedding-3-small","input":"Hi","dimensions":8}'`,
    ),
    ...block(
      'Anthropic messages',
      `curl ${url}/v1/messages \\`,
      `  ${isJson}`,
      "  -H 'anthropic-version: 2023-06-01' \\",
      `  -d '{"model":"claude-sonnet-4-5","max_tokens":99,`,
      `       ${words}`,
    ),
    ...block(
      'Failover: north fails, south answers (see x-outrider-upstream)',
      `curl -i ${url}/v1/chat/completions \\`,
      `  ${isJson}`,
      `  -d '{"model":"demo-failover",${words}`,
    ),
    '  After five times north is left alone for a while (x-outrider-attempts: 1).',
    '',
    ...block(
      'Models that misbehave: put one in place of gpt-4o-mini',
      ...Object.entries(moods)
        .filter(([, { here }]) => here !== true)
        .map(([name, { does }]) => `${name.padEnd(14)}${does}`),
    ),
    '  They do so at both providers. An answer of ours says so in x-outrider-error:',
    '  see it with curl -i. Waits are short here: 5 s for a stream to begin or go on,',
    '  at each of the two, and 15 s for a whole answer. For 5 s after demo-quota both',
    '  are known to be out, and calls get one attempt.',
    '',
    ...block('Is it ready, and what has it done', `curl ${adminUrl}/readyz`, `curl ${adminUrl}/metrics`),
    ...block('With the openai SDK (any text will do as its key)', `new OpenAI({ baseURL: '${url}/v1', apiKey: 'none' })`),
    'Ctrl+C ends it. Each call is told below.',
    '',
  ].join('\n')
}
