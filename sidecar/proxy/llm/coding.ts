/** More than an answer is worth that is only read for its tokens, and a bound for one that was made to swell. */
const mostBytes = 1024 * 1024

interface Coding {
  readonly decode: (bytes: Buffer, options: { maxOutputLength: number; finishFlush?: number }) => Buffer
  /** By which the end of a part is no error. */
  readonly flush: number
}

/** Not before the first compressed answer: it costs memory, and many pods never see one. */
function known(coding: string): Coding | undefined {
  const { gunzipSync, inflateSync, brotliDecompressSync, zstdDecompressSync, constants } = process.getBuiltinModule('node:zlib')
  switch (coding.toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return { decode: gunzipSync, flush: constants.Z_SYNC_FLUSH }
    case 'deflate':
      return { decode: inflateSync, flush: constants.Z_SYNC_FLUSH }
    case 'br':
      return { decode: brotliDecompressSync, flush: constants.BROTLI_OPERATION_FLUSH }
    case 'zstd':
      return { decode: zstdDecompressSync, flush: constants.ZSTD_e_flush }
    default:
      return undefined
  }
}

/** Reads a compressed answer that has passed: undefined for a coding that is not known, and for bytes that are not of it or too many. */
export function decoder(coding: string | string[]): ((bytes: Buffer) => Buffer | undefined) | undefined {
  const found = typeof coding === 'string' ? known(coding) : undefined
  return found && ((bytes) => tried(() => found.decode(bytes, { maxOutputLength: mostBytes })))
}

/** What the beginning of a compressed text says, as far as it can be read: of one that swells beyond measure less, perhaps nothing. */
export function beginningOf(coding: string, bytes: Buffer): Buffer {
  const found = known(coding)
  if (found === undefined) return none
  for (let length = bytes.length; length > 0; length >>= 1) {
    const text = tried(() => found.decode(bytes.subarray(0, length), { maxOutputLength: 4 * mostBytes, finishFlush: found.flush }))
    if (text !== undefined) return text
  }
  return none
}

const none = Buffer.alloc(0)

function tried(decode: () => Buffer): Buffer | undefined {
  try {
    return decode()
  } catch {
    return undefined
  }
}
