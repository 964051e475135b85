// One stream after the other, until it is told to stop; the one under way is then read to its end, as an app does that finishes its answers.
import OpenAI from 'openai'

const client = new OpenAI({ maxRetries: 0 })
let told = false
let later = 0

process.on('SIGTERM', () => {
  console.log('told to stop')
  told = true
})

async function listen(): Promise<string | null> {
  const stream = await client.chat.completions.create({
    model: 'gpt-5-mini',
    stream: true,
    messages: [{ role: 'user', content: 'Say hello. '.repeat(20) }],
  })
  let reason: string | null = null
  for await (const { choices } of stream) {
    if (told) later += 1
    reason = choices[0]?.finish_reason ?? reason
  }
  return reason
}

async function main(): Promise<void> {
  console.log('streaming')
  let reason: string | null
  do reason = await listen()
  while (!told)
  console.log(`${later} pieces after that, and the end: ${reason}`)
}

main().catch((err: unknown) => {
  console.log(`failed: ${String(err)}`)
  process.exitCode = 1
})
