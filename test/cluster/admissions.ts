import timers from 'node:timers/promises'
import { connect } from 'node:tls'
import type { Owner } from '../fixtures/providerExchange.ts'
import { containersOf, type Installed, type Replica } from './installed.ts'

export type Load = {
  /** Ends it; how many admissions went well, and what was said about those that did not. */
  readonly stop: () => Promise<{ readonly admitted: number; readonly handshakes: number; readonly failures: readonly string[] }>
}

let runs = 0

/**
 * Pods that are created without a break, and beside that handshakes with every replica, each as an API server would make it that has just read
 * the webhook: the one API server of the test keeps its connections, and would not notice.
 */
export function steadyLoad(t: Owner, installed: Installed, replicas: readonly Replica[]): Load {
  const run = ++runs
  const failures: string[] = []
  let going = true
  let admitted = 0
  let handshakes = 0
  const creating = async (): Promise<void> => {
    while (going) {
      try {
        const pod = await installed.createPod(`load-${run}-${admitted + failures.length}`)
        if (containersOf(pod).includes('outrider')) admitted++
        else failures.push('a pod without a sidecar')
      } catch (err) {
        failures.push((err as Error).message)
      }
      await timers.setTimeout(20)
    }
  }
  const shaking = async (): Promise<void> => {
    while (going) {
      const [first] = await installed.webhook()
      for (const replica of replicas) {
        const why = await distrusted(replica.port(), first?.caBundle ?? '')
        if (why === undefined) handshakes++
        else failures.push(`${new Date().toISOString()} a handshake: ${why}`)
      }
      await timers.setTimeout(20)
    }
  }
  const both = Promise.all([creating(), shaking()])
  t.after(() => {
    going = false
  })
  return {
    stop: async () => {
      going = false
      await both
      return { admitted, handshakes, failures }
    },
  }
}

/** Why a client with these roots does not trust who listens there. */
export function distrusted(port: number, ca: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca, timeout: 10_000 }, () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.on('error', (err) => {
      resolve(err.message)
    })
    socket.on('timeout', () => {
      socket.destroy()
      resolve('no answer')
    })
  })
}
