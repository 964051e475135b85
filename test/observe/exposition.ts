import assert from 'node:assert/strict'

export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/gs

/** Reads metrics as strictly as a scraper would: each line must be understood, each series stand under its type, and none come twice. */
export function parseExposition(text: string): Series[] {
  assert.match(text, /\n$/)
  const types = new Map<string, string>()
  const seen = new Set<string>()
  const series: Series[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    if (comment !== null) {
      const [, what, name = '', rest = ''] = comment
      if (what !== 'TYPE') continue
      assert.ok(!types.has(name), `${name} has its type twice`)
      assert.match(rest, /^(?:counter|gauge|histogram)$/)
      assert.equal(rest === 'counter', name.endsWith('_total'), `${name} is a ${rest}`)
      types.set(name, rest)
      continue
    }
    const found = sample.exec(line)
    assert.ok(found, `not a line of metrics: ${line}`)
    const [, name = '', inside = '', number = ''] = found
    const labels: Record<string, string> = {}
    let read = 0
    for (const one of inside.matchAll(label)) {
      assert.equal(one.index, read, line)
      read += one[0].length
      const [, key = '', value = ''] = one
      assert.ok(!(key in labels), line)
      labels[key] = value.replaceAll(/\\(.)/g, (_all, char: string) => (char === 'n' ? '\n' : char))
    }
    assert.equal(read, inside.length, line)
    assert.ok(number === '+Inf' || Number.isFinite(Number(number)), line)
    assert.ok(types.has(name) || types.get(name.replace(/_(?:bucket|sum|count)$/, '')) === 'histogram', `${name} has no type`)
    const key = `${name}{${JSON.stringify(Object.entries(labels).map(String).toSorted())}}`
    assert.ok(!seen.has(key), `twice: ${line}`)
    seen.add(key)
    series.push({ name, labels, value: Number(number) })
  }
  return series
}
