/** What is wrong with a handshake, and what to do about it, for a person who has never read OpenSSL. */
export function tlsReason(err: NodeJS.ErrnoException, host: string, ca = "network.ca or the upstream's tls.ca"): string {
  const { code = '', message } = err
  const sentence = meanings[code]?.(host, message, ca) ?? (/_ALERT_/.test(code) ? refusedUs : undefined)
  const told = message.replaceAll(/\s+/g, ' ').trim().slice(0, 200)
  return sentence === undefined ? (code === '' ? told : `${code}: ${told}`) : `${sentence} (${code})`
}

const unknownCa = (host: string, _message: string, ca: string): string =>
  `the certificate of ${host} is signed by an authority that is not trusted here; put the authority's PEM file into ${ca}`
const noTls = (host: string): string => `${host} does not speak TLS on this port; should the url begin with http://, or name another port?`
const closed = (host: string): string => `${host} closed the connection in the middle of it`
const oldTls = (host: string): string => `${host} offers no version of TLS that is still safe`
const refusedUs = `the other side did not accept what we showed; does it ask for a client certificate (the upstream's tls.cert and tls.key), or for another name (tls.serverName)?`

const meanings: Readonly<Record<string, (host: string, message: string, ca: string) => string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownCa,
  SELF_SIGNED_CERT_IN_CHAIN: unknownCa,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownCa,
  CERT_UNTRUSTED: unknownCa,
  CERT_SIGNATURE_FAILURE: unknownCa,
  CERT_HAS_EXPIRED: (host) => `the certificate of ${host} has expired`,
  CERT_NOT_YET_VALID: (host) => `the certificate of ${host} is not valid yet; is the clock of this machine right?`,
  ERR_TLS_CERT_ALTNAME_INVALID: (host, message) =>
    `the certificate of ${host} is for another name (${message.replace(/^.*?altnames?:? ?/i, '').slice(0, 200)}); if it is the right server all the same, set the upstream's tls.serverName to a name that it has`,
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: noTls,
  ERR_SSL_HTTP_REQUEST: noTls,
  EPROTO: noTls,
  ECONNRESET: closed,
  EPIPE: closed,
  ERR_SSL_UNSUPPORTED_PROTOCOL: oldTls,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: oldTls,
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: (host) => `${host} does not know the name we asked for; set the upstream's tls.serverName`,
  ERR_SSL_TLSV1_ALERT_UNRECOGNIZED_NAME: (host) => `${host} does not know the name we asked for; set the upstream's tls.serverName`,
}
