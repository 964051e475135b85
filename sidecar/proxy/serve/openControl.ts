import type { EverythingSources } from '../../observe/everything.ts'
import type { Canaries } from '../canary/canaries.ts'
import type { Control } from './control.ts'
import { tellToken } from './controlToken.ts'
import { PortTrouble, portTrouble } from './portTrouble.ts'

export interface ControlSources extends Omit<EverythingSources, 'listening'> {
  readonly say: (level: 'warn', message: string) => void
  readonly quit: () => void
  readonly canaries: Canaries
  readonly listening: { readonly data: readonly string[]; readonly admin: number }
}

/** The control listener, where it is wanted and can be had: calls matter more than the view of them, so that one is done without. */
export async function openControl({ say, quit, canaries, ...sources }: ControlSources): Promise<Control | undefined> {
  const { live } = sources
  const { off, port: wanted } = live.current.config.control
  if (off) return undefined
  const { listenForControl } = await import('./control.ts')
  const { controlRoutes } = await import('./controlRoutes.ts')
  // What there is to tell is loaded when somebody asks: most pods are never asked.
  const document = async (port: number): Promise<unknown> => {
    const { everything } = await import('../../observe/everything.ts')
    return everything({ ...sources, listening: { ...sources.listening, control: port } })
  }
  const tokenFile = (): string | undefined => live.current.config.control.tokenFile
  try {
    const control = await listenForControl({
      port: wanted,
      tokenFile,
      document,
      routes: controlRoutes({ config: () => live.current.config, canaries }),
      quit: () => (live.current.config.control.quit ? quit : undefined),
    }).catch(portTrouble('control.port'))
    await tellToken(live.current.config, undefined, say)
    return control
  } catch (err) {
    if (!(err instanceof PortTrouble)) throw err
    say('warn', `${err.message} Calls are served all the same, without the status that stands there; control.off says that none is wanted.`)
    return undefined
  }
}
