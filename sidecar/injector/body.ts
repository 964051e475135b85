import type { IncomingMessage } from 'node:http'

/** The body is longer than any review. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge'
}

/** Reads a body whole; rejects with `TooLarge`, or with what broke the connection. */
export async function bodyOf(req: IncomingMessage, most: number): Promise<string> {
  if (Number(req.headers['content-length'] ?? 0) > most) throw new TooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > most) throw new TooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
