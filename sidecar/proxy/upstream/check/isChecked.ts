import type { Upstream } from '../../../config/config.ts'

/** Where nothing is said, an upstream that stands alone is not asked: a call has nowhere else to go, whatever it answers. */
export const isChecked = ({ by }: Upstream['check'], upstreams: number): boolean => by !== 'off' && (by !== 'auto' || upstreams > 1)
