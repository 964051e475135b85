/** More than an answer is worth that is only read for its tokens, and a bound for one that was made to swell. */
const mostBytes = 1024 * 1024

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer

/** Not before the first compressed answer: it costs memory, and many pods never see one. */
function decodeWith(coding: string): Decode | undefined {
  const zlib = process.getBuiltinModule('node:zlib')
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return zlib.gunzipSync
    case 'deflate':
      return zlib.inflateSync
    case 'br':
      return zlib.brotliDecompressSync
    case 'zstd':
      return zlib.zstdDecompressSync
    default:
      return undefined
  }
}

/** Reads a compressed answer that has passed: undefined for a coding that is not known, and for bytes that are not of it or too many. */
export function decoder(coding: string | string[]): ((bytes: Buffer) => Buffer | undefined) | undefined {
  const decode = typeof coding === 'string' ? decodeWith(coding.toLowerCase()) : undefined
  if (decode === undefined) return undefined
  return (bytes) => {
    try {
      return decode(bytes, { maxOutputLength: mostBytes })
    } catch {
      return undefined
    }
  }
}
