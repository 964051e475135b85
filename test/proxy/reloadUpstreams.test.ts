import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { folder, replaceFile } from '../fixtures/mountedSecret.ts'
import { answers, chat, provider } from '../fixtures/provider.ts'
import { runOutrider } from '../fixtures/runOutrider.ts'
import type { Document } from '../fixtures/startSidecar.ts'
import { ask, askedOf, served } from '../fixtures/startUpstreams.ts'

test('another weight, tier or list of models leaves connections and what is known of health as they are; another address does not', async (t) => {
  const a = await provider(t, answers(429, {}, { 'retry-after': '60' }))
  const b = await provider(t, chat('b'))
  const file = join(folder(t), 'outrider.json')
  const document = (ofA: object): object => ({
    upstreams: [
      { name: 'a', url: `${a.url}/v1`, credential: 'fake', tier: 1, ...ofA },
      { name: 'b', url: `${b.url}/v1`, credential: 'fake', tier: 2 },
    ],
  })
  const put = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  const outrider = await runOutrider(t, a.url, { ...document({}) }, { put })
  assert.deepEqual(served(await ask(outrider)), ['b', '2'])
  replaceFile(file, outrider.configText({ ...document({ weight: 7, models: ['m'], modelNames: { m: 'x' } }) }))
  await outrider.printed('config reloaded')
  // It has asked for patience, and a reload is none of its business.
  assert.deepEqual(served(await ask(outrider)), ['b', '1'])
  assert.deepEqual(askedOf([a, b]), [1, 2])
  assert.equal(b.connections, 1)
  replaceFile(file, outrider.configText({ ...document({ url: `${a.url}/v1?other` }) }))
  await outrider.printed(/config reloaded[^]*config reloaded/)
  assert.deepEqual(served(await ask(outrider)), ['b', '2'])
})

test('what is learnt of upstreams begins anew with other settings of health; with others it goes on', async (t) => {
  const a = await provider(t, answers(429, {}, { 'retry-after': '60' }))
  const b = await provider(t, chat('b'))
  const file = join(folder(t), 'outrider.json')
  const document = (more: Document): Document => ({
    upstreams: [
      { name: 'a', url: `${a.url}/v1`, credential: 'fake', tier: 1 },
      { name: 'b', url: `${b.url}/v1`, credential: 'fake', tier: 2 },
    ],
    ...more,
  })
  const put = (text: string): string => {
    writeFileSync(file, text)
    return file
  }
  const outrider = await runOutrider(t, a.url, document({}), { put })
  const attempts = async (): Promise<number[]> => {
    const { upstreams } = (await (await fetch(`${outrider.url}/stats`)).json()) as { upstreams: { attempts: number }[] }
    return upstreams.map(({ attempts: made }) => made)
  }
  assert.deepEqual(served(await ask(outrider)), ['b', '2'])
  replaceFile(file, outrider.configText(document({ retry: { attempts: 2 } })))
  await outrider.printed('config reloaded')
  assert.deepEqual(
    [served(await ask(outrider)), await attempts()],
    [
      ['b', '1'],
      [1, 2],
    ],
  )
  assert.equal(b.connections, 1)
  replaceFile(file, outrider.configText(document({ health: { failures: 6 } })))
  await outrider.printed(/config reloaded[^]*config reloaded/)
  assert.deepEqual(await attempts(), [0, 0])
  assert.deepEqual(served(await ask(outrider)), ['b', '2'])
  assert.equal(b.connections, 2)
})

for (const several of [false, true]) {
  test(`the list of ${several ? 'all models' : 'models'} that was got before a reload is served after it, though its upstream is down`, async (t) => {
    const list = { object: 'list', data: [{ id: 'm', object: 'model' }] }
    const a = await provider(t, [answers(200, list)])
    const file = join(folder(t), 'outrider.json')
    const put = (text: string): string => {
      writeFileSync(file, text)
      return file
    }
    const other = several ? [{ name: 'b', url: `${a.url}/b`, credential: 'fake', models: ['none'], weight: 0 }] : []
    const document = (more: Document): Document => ({
      local: { models: true },
      upstreams: [{ name: 'a', url: `${a.url}/v1`, credential: 'fake' }, ...other],
      ...more,
    })
    const outrider = await runOutrider(t, a.url, document({}), { put })
    const listed = async (): Promise<unknown[]> => {
      const reply = await fetch(`${outrider.url}/models`)
      const { data = [] } = (await reply.json()) as { data?: { id: string }[] }
      return [reply.headers.get('x-outrider-cache'), data.map(({ id }) => id)]
    }
    assert.deepEqual(await listed(), ['miss', ['m']])
    await a.close()
    replaceFile(file, outrider.configText(document({ limits: { inFlight: 7 } })))
    await outrider.printed('config reloaded')
    assert.deepEqual(await listed(), ['hit', ['m']])
    replaceFile(file, outrider.configText(document({ health: { failures: 7 } })))
    await outrider.printed(/config reloaded[^]*config reloaded/)
    assert.deepEqual(await listed(), [null, []])
  })
}
