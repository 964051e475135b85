const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the connection was cut',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name cannot be looked up now',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
}

/** Why a sidecar cannot be asked, for whoever typed the command that asks it. */
export function unreachable({ code = 'unknown' }: NodeJS.ErrnoException): string {
  return reasons[code] ?? (code.startsWith('HPE_') ? 'what answers there does not speak HTTP' : code)
}
