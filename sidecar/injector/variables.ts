import type { Plan } from './plan.ts'

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

/** `{url}` is where to call, with `/v1`; `{origin}` the same without, as Anthropic's clients want it; `{key}` the placeholder. */
const standard: Readonly<Record<string, readonly [template: string, family: string]>> = {
  OPENAI_BASE_URL: ['{url}', 'openai'],
  OPENAI_API_BASE: ['{url}', 'openai'],
  OPENAI_API_KEY: ['{key}', 'openai'],
  ANTHROPIC_BASE_URL: ['{origin}', 'anthropic'],
  ANTHROPIC_API_KEY: ['{key}', 'anthropic'],
  HOLYSHEEP_BASE_URL: ['{url}', 'holysheep'],
  HOLYSHEEP_API_KEY: ['{key}', 'holysheep'],
}

/** The variables of a profile by name; one that the profile declares again has what the profile says. */
export function templatesOf(env: Readonly<Record<string, string>>): Readonly<Record<string, readonly [template: string, family: string]>> {
  return {
    ...standard,
    ...Object.fromEntries(Object.entries(env).map(([name, template]) => [name, [template, standard[name]?.[1] ?? name] as const])),
  }
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
