// Embeds a few documents, keeps the vectors in memory, finds the one nearest to a question, and has it answered from that, streamed.
import OpenAI from 'openai'

const client = new OpenAI()
const documents = ['Outrider holds the key.', 'Streams pass event by event.', 'Every wait has a bound.']

async function embed(texts: string[]): Promise<number[][]> {
  const { data } = await client.embeddings.create({ model: 'text-embedding-3-small', input: texts })
  return data.map(({ embedding }) => embedding)
}

function nearest(wanted: number[], vectors: number[][]): number {
  const near = vectors.map((vector) => vector.reduce((sum, value, at) => sum + value * (wanted[at] ?? 0), 0))
  return near.indexOf(Math.max(...near))
}

const vectors = await embed(documents)
// The fake embeddings know equal texts only, so the question is one of the documents.
const [question = []] = await embed(['Outrider holds the key.'])
const found = documents[nearest(question, vectors)]
console.log(`found: ${found}`)

const stream = await client.chat.completions.create({
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: `Answer from this: ${found} Who holds the key?` }],
  stream: true,
})
process.stdout.write('answer: ')
for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? '')
console.log()
