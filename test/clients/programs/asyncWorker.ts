// Works off a queue, three jobs at a time, and says with each call how urgent it is: a gateway behind the sidecar may sort by that.
import OpenAI from 'openai'

const client = new OpenAI()
const jobs = Array.from({ length: 12 }, (_, n) => ({ text: `job ${n}`, priority: n % 3 === 0 ? 'high' : 'low' }))
const urgent = jobs.filter(({ priority }) => priority === 'high').length
let done = 0

async function worker(): Promise<void> {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    const asked = { model: 'gpt-4o-mini', messages: [{ role: 'user' as const, content: job.text }] }
    const { choices } = await client.chat.completions.create(asked, { headers: { 'x-priority': job.priority } })
    if (choices[0]?.message.content?.includes(job.text) === true) done += 1
  }
}

await Promise.all([worker(), worker(), worker()])
console.log(`done: ${done} jobs, ${urgent} of them urgent`)
