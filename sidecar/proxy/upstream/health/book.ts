/** What is known of each model. Clients name models: the book forgets one that was not asked for lately. */
export interface Book<Known> {
  readonly of: (model: string) => Known
  readonly all: () => readonly Known[]
}

interface Entry<Known> {
  readonly known: Known
  /** Since it was last passed over: every call asks, so that asking must move nothing. */
  asked: boolean
}

/** More than anybody configures, so that it needs no setting; a client that makes names up costs no more than this. */
const mostModels = 200

export function book<Known>(open: (model: string) => Known, most = mostModels): Book<Known> {
  const models = new Map<string, Entry<Known>>()
  return {
    of: (model) => {
      const entry = models.get(model)
      if (entry !== undefined) {
        entry.asked = true
        return entry.known
      }
      if (models.size >= most) makeRoom(models)
      const known = open(model)
      models.set(model, { known, asked: false })
      return known
    },
    all: () => [...models.values()].map(({ known }) => known),
  }
}

/** The oldest goes; who was asked for since it was last looked at goes behind all others instead. */
function makeRoom(models: Map<string, Entry<unknown>>): void {
  for (const [model, entry] of models) {
    models.delete(model)
    if (!entry.asked) return
    entry.asked = false
    models.set(model, entry)
  }
}
