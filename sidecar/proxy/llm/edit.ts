import { eachMember } from './members.ts'

export interface BodyEdits {
  /** Takes the place of the model that the client named, or did not name. */
  readonly model?: string | undefined
  /** What is said where the client says nothing of it, under any of its names; it is said under the first. */
  readonly defaults?: readonly { readonly names: readonly string[]; readonly value: number }[]
}

/**
 * The body with these edits and not another byte changed: the same Buffer where there is nothing to change, undefined where it is no whole
 * JSON object.
 */
export function editBody(body: Buffer, { model, defaults = [] }: BodyEdits): Buffer | undefined {
  const splices: Splice[] = []
  const said = new Set<string>()
  const wanted = new Map<string, number>()
  for (const { names, value } of defaults) wanted.set(names[0] ?? '', value)
  const put = (from: number, to: number, text: string): void => {
    if (body.toString('utf8', from, to) !== text) splices.push({ from, to, text })
  }
  const nulls: { name: string; from: number; to: number }[] = []
  const place = eachMember(body, (name, from, to) => {
    // Said twice, the last counts for most and the first for some: both are replaced.
    if (name === 'model' && model !== undefined) put(from, to, JSON.stringify(model))
    const empty = to - from === 4 && body.toString('latin1', from, to) === 'null'
    // Null says nothing; but its name stands there, and a second time it would be a fault.
    if (empty && wanted.has(name)) nulls.push({ name, from, to })
    if (name === 'model' || !empty) said.add(name)
  })
  if (place === undefined) return undefined
  const added: string[] = []
  if (model !== undefined && !said.has('model')) added.push(`"model":${JSON.stringify(model)}`)
  for (const { names, value } of defaults) {
    const [name] = names
    if (name === undefined || names.some((one) => said.has(one))) continue
    const standing = nulls.filter((one) => one.name === name)
    for (const { from, to } of standing) put(from, to, String(value))
    if (standing.length === 0) added.push(`${JSON.stringify(name)}:${value}`)
  }
  if (added.length > 0) splices.push({ from: place.at, to: place.at, text: `${added.join(',')}${place.empty ? '' : ','}` })
  return splices.length === 0 ? body : spliced(body, splices)
}

/** A text that takes the place of a part of a body. */
export interface Splice {
  readonly from: number
  readonly to: number
  readonly text: string
}

export function spliced(body: Buffer, splices: readonly Splice[]): Buffer {
  const parts: Buffer[] = []
  let copied = 0
  for (const { from, to, text } of splices.toSorted((one, other) => one.from - other.from)) {
    parts.push(body.subarray(copied, from), Buffer.from(text))
    copied = to
  }
  return Buffer.concat([...parts, body.subarray(copied)])
}
