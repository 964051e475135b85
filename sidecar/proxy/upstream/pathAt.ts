/** Where a path of ours is at an upstream whose base URL may have a path and, for all calls, a query of its own (`?api-version=…`): that comes first. */
export function pathAt(base: { readonly path: string; readonly query: string }, path: string): string {
  const query = path.indexOf('?')
  const before = query < 0 ? path : path.slice(0, query)
  // Only a base URL without a path can be followed by nothing at all.
  const whole = base.path + before || '/'
  if (base.query === '') return query < 0 ? whole : whole + path.slice(query)
  return query < 0 ? `${whole}?${base.query}` : `${whole}?${base.query}&${path.slice(query + 1)}`
}
