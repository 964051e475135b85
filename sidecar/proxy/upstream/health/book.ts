import type { Health } from '../health.ts'

/** The health of everything that attempts were made at. Models are named by clients: the book forgets the one least lately asked for. */
export interface HealthBook {
  readonly of: (upstream: string, credential: string, model: string) => Health
  /** All that is known of an upstream, by model. */
  readonly about: (upstream: string) => readonly { readonly credential: string; readonly model: string; readonly health: Health }[]
  readonly credentialChanged: (credential: string) => void
  /** The upstream is no longer configured, or somebody wants it tried again at once. */
  readonly forget: (upstream: string) => void
}

interface Page {
  readonly upstream: string
  readonly credential: string
  readonly models: Map<string, Health>
}

/** More than anybody configures; a client that makes names up costs no more than this. */
const mostModels = 200

export function healthBook(open: () => Health, most = mostModels): HealthBook {
  const pages: Page[] = []
  return {
    of: (upstream, credential, model) => {
      let page = pages.find((one) => one.upstream === upstream && one.credential === credential)
      if (page === undefined) pages.push((page = { upstream, credential, models: new Map() }))
      const { models } = page
      const known = models.get(model)
      const health = known ?? open()
      if (known !== undefined) models.delete(model)
      else if (models.size >= most) for (const oldest of models.keys()) if (models.size >= most) models.delete(oldest)
      models.set(model, health)
      return health
    },
    about: (upstream) =>
      pages
        .filter((page) => page.upstream === upstream)
        .flatMap(({ credential, models }) => [...models].map(([model, health]) => ({ credential, model, health }))),
    credentialChanged: (credential) => {
      for (const page of pages) if (page.credential === credential) for (const health of page.models.values()) health.credentialChanged()
    },
    forget: (upstream) => {
      for (let at = pages.length - 1; at >= 0; at--) if (pages[at]?.upstream === upstream) pages.splice(at, 1)
    },
  }
}
