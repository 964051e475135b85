import { go } from './go.ts'
import { run } from './run.ts'

export type Order = {
  /** The folder of the module. */
  readonly source: string
  readonly package: string
  readonly output: string
  readonly kubernetes: string
  readonly tags?: string
}

// A cold build takes some ten minutes on two free cores, and builds are often the last to get a core.
const longestMs = 60 * 60_000

/** Builds one program. */
export async function compile({ source, package: name, output, kubernetes, tags }: Order): Promise<void> {
  const options = [...parallel(), ...(tags === undefined ? [] : ['-tags', tags]), '-ldflags', stamps(kubernetes), '-o', output]
  await run('nice', ['-n', '10', await go(), 'build', ...options, name], {
    cwd: source,
    // -trimpath is part of what the compiler's cache goes by, so it is the same everywhere.
    env: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -trimpath -buildvcs=false', GOTOOLCHAIN: 'auto' },
    boundMs: longestMs,
  })
}

/** OUTRIDER_BUILD_JOBS holds the build back on a machine that others use as well. */
function parallel(): readonly string[] {
  const jobs = process.env['OUTRIDER_BUILD_JOBS']
  return jobs === undefined ? [] : ['-p', jobs]
}

/** Without these the API server calls itself v0.0.0, and Helm refuses every chart that asks for a version. */
function stamps(kubernetes: string): string {
  const [major, minor] = kubernetes.split('.')
  const facts = { gitVersion: `v${kubernetes}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean', buildDate: '2026-01-01T00:00:00Z' }
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
  return ['-s -w', ...packages.flatMap((name) => Object.entries(facts).map(([fact, value]) => `-X ${name}.${fact}=${value}`))].join(' ')
}
