import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Running, start } from '../processes.ts'
import type { Answer, Order } from './orders.ts'

export type Load = { order<O extends Order>(order: O): Promise<Answer<O>>; stop(): Promise<void> }

const longestOrderMs = 120_000

/** Starts the load process on its core. */
export async function startLoad(cores: string): Promise<Load> {
  const running = start({ file: process.execPath, args: [join(import.meta.dirname, 'main.ts')] }, cores, [
    'ignore',
    'inherit',
    'inherit',
    'ipc',
  ])
  await nextMessage(running)
  return {
    order: async <O extends Order>(order: O) => {
      const answer = nextMessage(running)
      running.child.send(order)
      return (await answer) as Answer<O>
    },
    stop: () => running.stop(),
  }
}

/** The next message of a child, or an error when it ends or stays silent instead. */
export async function nextMessage({ child }: Running): Promise<unknown> {
  const silence = new AbortController()
  const { signal } = silence
  try {
    return await Promise.race([
      once(child, 'message', { signal }).then(([message]) => message as unknown),
      once(child, 'exit', { signal }).then(() => Promise.reject(new Error('a process of the bench ended early'))),
      sleep(longestOrderMs, undefined, { signal, ref: false }).then(() => Promise.reject(new Error('a process of the bench is silent'))),
    ])
  } finally {
    silence.abort()
  }
}
