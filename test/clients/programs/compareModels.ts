// Asks four models the same question side by side and prints their answers in the order of the models.
import OpenAI from 'openai'

const client = new OpenAI()
const models = ['gpt-5-mini', 'gpt-4o-mini', 'claude-sonnet-4-5', 'gpt-3.5-turbo-instruct']

const answers = await Promise.all(
  models.map(async (model) => {
    const { choices, usage } = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'What is a sidecar?' }] })
    return `${model}: ${usage?.completion_tokens} tokens: ${choices[0]?.message.content}`
  }),
)
console.log(answers.join('\n'))
