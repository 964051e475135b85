import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import OpenAI from 'openai'
import { answers, provider } from '../fixtures/provider.ts'
import { atATime, callHeader, calls, judged, mostAlike, scenarios, stage } from './amplification.ts'

/** Makes the calls of an app whose client repeats as it comes; how many were answered. */
async function app(url: string): Promise<number> {
  const openai = new OpenAI({ baseURL: url, apiKey: 'placeholder', logLevel: 'off' })
  let good = 0
  let next = 0
  const work = async (): Promise<void> => {
    while (next < calls) {
      const headers = { [callHeader]: String(next++) }
      try {
        await openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] }, { headers })
        good++
      } catch (err) {
        assert.ok(err instanceof OpenAI.APIError, String(err))
      }
    }
  }
  await Promise.all(Array.from({ length: atATime }, work))
  return good
}

describe('openai: its repeats and ours do not multiply', { concurrency: true }, () => {
  test('without a sidecar each call to an upstream that fails is three attempts', async (t: TestContext) => {
    const upstream = await provider(t, answers(500))
    assert.equal(await app(`${upstream.url}/v1`), 0)
    assert.deepEqual([upstream.seen.length / calls, mostAlike([upstream])], [3, 3])
  })
  for (const scenario of scenarios) {
    test(`with one, where ${scenario.name}`, async (t: TestContext) => {
      const { url, counted } = await stage(t, scenario)
      t.diagnostic(judged(scenario, await app(url), await counted()))
    })
  }
})
