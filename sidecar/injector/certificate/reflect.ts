/**
 * @peculiar/x509 registers its parts with tsyringe, which refuses to load without the decorator metadata of an abandoned proposal. It needs
 * three functions of it; a package with all of them would be one more to trust. To be imported before @peculiar/x509.
 */
interface Metadata {
  getMetadata?: (key: string, target: object) => unknown
  getOwnMetadata?: (key: string, target: object) => unknown
  defineMetadata?: (key: string, value: unknown, target: object) => void
}

const kept = new WeakMap<object, Map<string, unknown>>()
const ofItself = (key: string, target: object): unknown => kept.get(target)?.get(key)
const ofIts = (key: string, target: object): unknown => {
  for (let at: object | null = target; at !== null; at = Reflect.getPrototypeOf(at)) if (kept.get(at)?.has(key)) return ofItself(key, at)
  return undefined
}

const reflect = Reflect as Metadata
reflect.getOwnMetadata ??= ofItself
reflect.getMetadata ??= ofIts
reflect.defineMetadata ??= (key, value, target) => {
  const values = kept.get(target) ?? new Map<string, unknown>()
  kept.set(target, values.set(key, value))
}
