type Line = Readonly<Record<string, unknown>>

/** Log lines of the proxy as a person reads them under a banner: one call, one line. */
export function shortLog(lines: string): string {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => `${short(line)}\n`)
    .join('')
}

function short(text: string): string {
  try {
    const line = JSON.parse(text) as Line
    const time = new Date(String(line['time'])).toTimeString().slice(0, 8)
    return `${time} ${line['msg'] === 'call' ? call(line) : `${String(line['level'])}: ${String(line['msg'])}`}`
  } catch {
    return text
  }
}

/** Who was asked: `north`, or `north 500, then south` where one took over. */
function who(tried: unknown): string {
  const attempts = Array.isArray(tried) ? (tried as readonly { readonly upstream: string; readonly outcome: number | string }[]) : []
  return attempts.map(({ upstream, outcome }, at) => (at === attempts.length - 1 ? upstream : `${upstream} ${outcome}`)).join(', then ')
}

function call({ method, path, model, stream, status, error, fault, tried, total_ms: ms }: Line): string {
  const failure = typeof error === 'string' && typeof fault === 'string' ? `${error} (${fault})` : ''
  const words = [status, method, path, model, stream === true ? 'stream' : '', `${Math.round(Number(ms))} ms`, who(tried), failure]
  return words.filter((word) => word !== undefined && word !== '').join(' ')
}
