// One stream, read to its end whatever happens: as an app does that lets its answers finish when it is told to stop.
import OpenAI from 'openai'

process.on('SIGTERM', () => console.log('told to stop'))

async function main(): Promise<void> {
  const stream = await new OpenAI({ maxRetries: 0 }).chat.completions.create({
    model: 'gpt-5-mini',
    stream: true,
    messages: [{ role: 'user', content: 'Say hello. '.repeat(20) }],
  })
  let pieces = 0
  let reason: string | null = null
  for await (const { choices } of stream) {
    pieces += 1
    if (pieces === 2) console.log('streaming')
    reason = choices[0]?.finish_reason ?? reason
  }
  console.log(`ended after ${pieces} pieces: ${reason}`)
}

main().catch((err: unknown) => {
  console.log(`failed: ${String(err)}`)
  process.exitCode = 1
})
