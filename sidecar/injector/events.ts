import { bounded } from './window.ts'
import type { Kube } from './kube.ts'
import type { Happening, Owner } from './settings.ts'

export interface Events {
  /** Returns at once and never throws: nobody's pod waits for an Event. */
  readonly note: (happening: Happening) => void
  /** Something is wrong with an object. */
  readonly warn: (subject: Subject, reason: string, message: string) => void
  readonly close: () => void
}

export interface Subject {
  readonly namespace: string
  readonly owner: Owner
}

export interface EventsOptions {
  readonly kube: Kube
  /** The pod that says so. */
  readonly instance: string
  readonly count: (result: 'sent' | 'repeated' | 'dropped' | 'failed') => void
  readonly failed: (message: string) => void
}

interface Said extends Subject {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

const component = 'outrider-injector'
/** API servers refuse longer ones. */
const longestMessage = 1_024

/** Events on what people look at. The same thing said again within ten minutes is counted and said once, and all of them together are bounded. */
export function openEvents({ kube, instance, count, failed }: EventsOptions): Events {
  const send = async ({ namespace, owner, type, reason, message }: Said, times: number, firstMs: number): Promise<void> => {
    const stamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: 'outrider-', namespace },
      involvedObject: { ...owner, namespace },
      type,
      reason,
      message: message.length > longestMessage ? `${message.slice(0, longestMessage - 1)}…` : message,
      count: times,
      firstTimestamp: stamp(firstMs),
      lastTimestamp: stamp(Date.now()),
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
    }
    try {
      await kube.ask({ method: 'POST', path: `/api/v1/namespaces/${namespace}/events`, body })
      count('sent')
    } catch (err) {
      count('failed')
      failed((err as Error).message)
    }
  }

  const said = bounded<Said>({
    keyOf: ({ namespace, owner, reason, message }) => [namespace, owner.uid, reason, message].join(' '),
    pass: (one, times, firstMs) => void send(one, times, firstMs),
    held: count,
  })
  return {
    note: ({ kind, namespace, owner, reason, message }) => {
      said.take({ namespace, owner, reason, message, type: kind === 'warned' ? 'Warning' : 'Normal' })
    },
    warn: (subject, reason, message) => {
      said.take({ ...subject, reason, message, type: 'Warning' })
    },
    close: said.close,
  }
}
