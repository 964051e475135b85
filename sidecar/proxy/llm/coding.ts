import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'

/** More than an answer is worth that is only read for its tokens, and a bound for one that was made to swell. */
const mostBytes = 1024 * 1024

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer

const decoders = new Map<string, Decode>([
  ['gzip', gunzipSync],
  ['x-gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
  ['zstd', zstdDecompressSync],
])

/** Reads a compressed answer that has passed: undefined for a coding that is not known, and for bytes that are not of it or too many. */
export function decoder(coding: string | string[]): ((bytes: Buffer) => Buffer | undefined) | undefined {
  const decode = typeof coding === 'string' ? decoders.get(coding.toLowerCase()) : undefined
  if (decode === undefined) return undefined
  return (bytes) => {
    try {
      return decode(bytes, { maxOutputLength: mostBytes })
    } catch {
      return undefined
    }
  }
}
