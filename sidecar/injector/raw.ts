import { isMapping } from '../config/mapping.ts'

/**
 * A part of a pod as it came, never as a type of some version of Kubernetes: what is not known here must survive, so steps read a few
 * fields and spread the rest.
 */
export type Raw = Readonly<Record<string, unknown>>

export const rawOf = (value: unknown): Raw => (isMapping(value) ? value : {})

export const listOf = (value: unknown): readonly Raw[] => (Array.isArray(value) ? value.map(rawOf) : [])

export const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

export const nameOf = (part: Raw): string => textOf(part['name']) ?? ''

/** The part of that name replaced where it stands, or put at the end. */
export function withPart(parts: readonly Raw[], part: Raw): readonly Raw[] {
  const at = parts.findIndex((one) => nameOf(one) === nameOf(part))
  return at < 0 ? [...parts, part] : parts.with(at, part)
}
