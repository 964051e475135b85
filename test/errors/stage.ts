import type { Owner } from '../fixtures/providerExchange.ts'
import type { Scene, Seen } from './scene.ts'

/** A scene that takes this long has got stuck. */
const longestMs = 30_000

/** Plays a scene outside of a test, and tidies up as a test would. */
export async function playAlone({ title, play }: Scene): Promise<Seen> {
  const afters: (() => unknown)[] = []
  const owner = { after: (tidy: () => unknown) => void afters.push(tidy) } as Owner
  const stuck = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    stuck.reject(new Error(`stuck: ${title}`))
  }, longestMs)
  try {
    return await Promise.race([play(owner), stuck.promise])
  } finally {
    clearTimeout(timer)
    // Some ask for more while they run: it comes behind all of them.
    for (const tidy of afters) await tidy()
  }
}
