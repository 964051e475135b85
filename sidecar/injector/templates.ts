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
