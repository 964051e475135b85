/** Whether a model is among those that some patterns name; `*` stands for any characters. */
export function modelMatcher(patterns: readonly string[] | undefined): (model: string) => boolean {
  if (patterns === undefined || patterns.includes('*')) return () => true
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')))
  const open = patterns.filter((pattern) => pattern.includes('*')).map(expression)
  return (model) => exact.has(model) || open.some((pattern) => pattern.test(model))
}

/** Each run of stars is one: several in a row would make the search go back and forth without end. */
function expression(pattern: string): RegExp {
  const parts = pattern.split(/\*+/).map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's')
}
