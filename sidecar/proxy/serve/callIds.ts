/** Ids need only be told apart: a start of the process, and a count. */
export function callIds(): () => string {
  const start = (Date.now() % 36 ** 6).toString(36).padStart(6, '0')
  let count = 0
  return () => `${start}-${(++count).toString(36)}`
}
