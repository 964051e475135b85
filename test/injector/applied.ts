import assert from 'node:assert/strict'

interface Operation {
  readonly op: string
  readonly path: string
  readonly value?: unknown
}

type Branch = Record<string, unknown>

/** What a patch makes of a document, as the API server applies it: one operation after the other, and each must fit. */
export function applied(document: unknown, patch: readonly Operation[]): unknown {
  const root = { document: structuredClone(document) } as Branch
  for (const { op, path, value } of patch) {
    const steps = ['document', ...path.split('/').slice(1)].map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = steps.pop() ?? ''
    const holder = steps.reduce<unknown>((inside, step) => {
      assert.ok(Object.hasOwn(inside as Branch, step), `${path} leads nowhere`)
      return (inside as Branch)[step]
    }, root)
    if (Array.isArray(holder)) change(holder, op, Number(last), value)
    else set(holder as Branch, op, last, value)
  }
  return root['document']
}

function change(list: unknown[], op: string, at: number, value: unknown): void {
  assert.ok(Number.isInteger(at) && at >= 0 && at < list.length + (op === 'add' ? 1 : 0), `index ${at} of ${list.length}`)
  if (op === 'add') list.splice(at, 0, structuredClone(value))
  else if (op === 'remove') list.splice(at, 1)
  else list[at] = structuredClone(value)
}

function set(mapping: Branch, op: string, key: string, value: unknown): void {
  assert.equal(Object.hasOwn(mapping, key), op !== 'add', `${op} ${key}`)
  if (op === 'remove') delete mapping[key]
  // A plain assignment would lose a key named __proto__.
  else Object.defineProperty(mapping, key, { value: structuredClone(value), enumerable: true, configurable: true, writable: true })
}
