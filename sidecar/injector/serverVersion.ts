import type { Kube } from './kube.ts'
import { KubeError } from './kubeError.ts'
import { soon } from './soon.ts'

export interface ServerVersion {
  /** The minor version of the API server; undefined until it is known. */
  readonly minor: () => number | undefined
  readonly close: () => void
}

export interface ServerVersionOptions {
  readonly kube: Kube
  readonly say: (level: 'info' | 'warn', message: string) => void
}

/** A cluster is upgraded while we run, one API server after the other. */
const lookAgainMs = 60_000

/** Asked at run time: what a chart is rendered with need not be the cluster that it ends up in. */
export function openServerVersion({ kube, say }: ServerVersionOptions): ServerVersion {
  let known: number | undefined
  const looking = soon({
    run: async () => {
      const { major, minor, gitVersion } = (await kube.ask({ path: '/version' })) as Partial<Record<string, string>>
      // Some clouds write "33+".
      const number = Number.parseInt(minor ?? '', 10)
      if (major !== '1' || Number.isNaN(number)) throw new KubeError(`/version says ${major}.${minor}, which is no version of Kubernetes 1`)
      if (number !== known) say('info', `the API server is ${gitVersion}`)
      known = number
      return lookAgainMs
    },
    failed: (err) => {
      say('warn', `the version of the API server is not known: ${(err as Error).message}`)
    },
  })
  looking.now()
  return { minor: () => known, close: looking.close }
}
