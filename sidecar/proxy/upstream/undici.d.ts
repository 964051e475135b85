declare module 'undici/lib/core/symbols.js' {
  const symbols: { readonly kConnect: unique symbol }
  export default symbols
}

declare module 'undici/lib/dispatcher/client.js' {
  import { Client as Base } from 'undici'
  import symbols from 'undici/lib/core/symbols.js'
  export default class Client extends Base {
    /** Connects before there is a call; `done` hears once. */
    [symbols.kConnect](done: () => void): void
  }
}
