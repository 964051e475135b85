import type { Peer } from './peer.ts'

/** No proxy at all: what the machine, the load and the fake model need by themselves. */
export const direct: Peer = {
  name: 'direct',
  install: async () => ({ version: 'no proxy' }),
  command: () => null,
}
