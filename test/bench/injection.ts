/**
 * How long the injector takes for a review: `node test/bench/injection.ts [RATE] [SECONDS]`. The webhook runs in a process of its own on one
 * core; reviews come at a fixed rate whatever the answers take, over few connections as from an API server, with pods of very different sizes.
 */
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import Registry from 'prom-client/lib/registry.js'
import { parse } from 'yaml'
import { openInjection } from '../../sidecar/injector/serve.ts'
import { profilesOf, settingsWith } from '../injector/injection.ts'
import { review } from '../injector/served.ts'
import { testCertificates } from '../fixtures/providerTls.ts'
import type { Raw } from '../../sidecar/injector/raw.ts'

const [, , rate = '100', seconds = '20'] = process.argv
if (process.send === undefined) await measure(Number(rate), Number(seconds))
else await serve()

async function serve(): Promise<void> {
  const nothing = (): void => {}
  const { port } = await openInjection({
    settings: settingsWith(await profilesOf()),
    certificate: testCertificates().server,
    host: '127.0.0.1',
    port: 0,
    registry: new Registry(),
    note: nothing,
    log: { info: nothing, warn: nothing, error: nothing },
  })
  process.send?.(port)
}

async function measure(perSecond: number, forSeconds: number): Promise<void> {
  const folder = join(import.meta.dirname, '../injector/golden')
  const bodies = readdirSync(folder)
    .filter((file) => file.endsWith('.in.yaml'))
    .map((file) => review({ pod: (parse(readFileSync(join(folder, file), 'utf8')) as { pod: Raw }).pod }))
  const child = fork(import.meta.filename, { execPath: process.execPath })
  const [port] = (await once(child, 'message')) as [number]
  execFileSync('taskset', ['-a', '-p', '-c', '0', String(child.pid)], { stdio: 'ignore' })
  const agent = new Agent({ keepAlive: true, maxSockets: 8, rejectUnauthorized: false })
  const took: number[] = []
  const ask = async (body: string): Promise<void> => {
    const began = performance.now()
    const req = request({
      host: '127.0.0.1',
      port,
      path: '/inject',
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json' },
    })
    req.end(body)
    const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage]
    res.resume()
    await once(res, 'end')
    if (res.statusCode !== 200) throw new Error(`status ${res.statusCode}`)
    took.push(performance.now() - began)
  }
  const total = perSecond * forSeconds
  const asked: Promise<void>[] = []
  const start = performance.now()
  while (asked.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - start) / 1_000) * perSecond))
    while (asked.length < due) asked.push(ask(bodies[asked.length % bodies.length] ?? ''))
    await new Promise((done) => {
      setTimeout(done, 2)
    })
  }
  await Promise.all(asked)
  const cpu = execFileSync('ps', ['-o', 'cputimes=', '-p', String(child.pid)])
    .toString()
    .trim()
  child.kill()
  took.sort((one, other) => one - other)
  const at = (share: number): string => `${(took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0).toFixed(2)} ms`
  process.stdout.write(
    `${took.length} reviews at ${perSecond}/s: p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, longest ${at(1)}; CPU ${cpu} s in all, start included\n`,
  )
}
