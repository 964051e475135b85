// One call with the official client, which is configured by its usual variables. Prints one line of JSON.
import OpenAI from 'openai'

async function main(): Promise<void> {
  const { data, response } = await new OpenAI({ maxRetries: 0 }).chat.completions
    .create({ model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Say hello.' }] })
    .withResponse()
  const { headers } = response
  console.log(
    JSON.stringify({
      text: data.choices[0]?.message.content,
      key: headers.get('x-provider-key'),
      pod: headers.get('x-provider-pod'),
      call: headers.get('x-outrider-call'),
    }),
  )
}

main().catch((err: unknown) => {
  console.error(String(err))
  process.exitCode = 1
})
