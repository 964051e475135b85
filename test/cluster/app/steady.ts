// Calls without a pause, four at a time, until it is told to stop. Prints a line for each pod that answers for the first time, one for each
// failure, and a last one with the counts.
import OpenAI from 'openai'

const atATime = 4
const client = new OpenAI({ maxRetries: 0 })
const pods = new Set<string>()
let told = false
let ok = 0
let failed = 0

process.on('SIGTERM', () => {
  told = true
})

async function call(): Promise<void> {
  try {
    const { response } = await client.chat.completions
      .create({ model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Say hello.' }] })
      .withResponse()
    ok += 1
    const pod = response.headers.get('x-provider-pod') ?? ''
    if (!pods.has(pod)) console.log(`answered by ${pod}`)
    pods.add(pod)
  } catch (err) {
    failed += 1
    console.log(`failed: ${String(err)}`)
  }
}

async function loop(): Promise<void> {
  while (!told) await call()
}

async function main(): Promise<void> {
  await Promise.all(Array.from({ length: atATime }, loop))
  console.log(`ended: ${ok} ok, ${failed} failed`)
}

void main()
