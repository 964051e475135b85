/** Why no cluster can run here, in words; undefined if one can. */
export function obstacle(): string | undefined {
  if (process.platform !== 'linux') return 'The cluster of the tests needs Linux.'
  if (process.getuid?.() !== 0)
    return 'The cluster of the tests needs root, for namespaces, mounts and cgroups of its own: run it with sudo.'
  return undefined
}
