import { kinds } from '../proxy/errors.ts'
import type { Facts } from '../proxy/facts.ts'

/** The status that the client got, or would have got had it stayed: a call that ends before its head has none of its own. */
export const statusOf = ({ status, error }: Facts): number => (status === 0 ? kinds[error ?? 'client_gone'].status : status)
