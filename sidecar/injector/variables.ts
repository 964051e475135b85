import type { Plan } from './plan.ts'
import { templatesOf } from './templates.ts'

/** What stands where a client insists on a key: a person who meets it shall know where the real one is. */
export const placeholder = 'outrider-holds-the-key'

/** A variable that tells the app to call the sidecar. */
export interface Variable {
  readonly name: string
  readonly value: string
  /** What it is at another port: how one of an earlier injection is known again. */
  readonly at: (port: number) => string
  readonly isKey: boolean
  /** Those that one client reads together: where the app sets one address itself, the others are its own business too. */
  readonly family: string
}

export function variablesFor({ profile, tuning, ports }: Plan): readonly Variable[] {
  const chosen = tuning.env
  if (chosen?.length === 1 && chosen[0] === 'none') return []
  return Object.entries(templatesOf(profile.inject.env)).flatMap(([name, [template, family]]) => {
    if (chosen !== undefined && !chosen.includes(name)) return []
    const at = (port: number): string => filled(template, port)
    return [{ name, family, at, value: at(ports.data), isKey: template === '{key}' }]
  })
}

function filled(template: string, port: number): string {
  const origin = `http://localhost:${port}`
  return template.replaceAll('{url}', `${origin}/v1`).replaceAll('{origin}', origin).replaceAll('{key}', placeholder)
}
