const faults: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist: check the path, or what is mounted there',
  ENOTDIR: 'does not exist: a part of the path is a file',
  EISDIR: 'is a folder, not a file',
  EACCES: 'cannot be read: permission denied',
  EPERM: 'cannot be read: permission denied',
}

/** Why a file cannot be read, for behind its name. */
export function fileFault(err: unknown): string {
  const code = err instanceof Error && 'code' in err ? String(err.code) : ''
  return faults[code] ?? `cannot be read (${code || 'for an unknown reason'})`
}
