import assert from 'node:assert/strict'
import { test } from 'node:test'
import { injectorKinds, injectorPlan } from '../../sidecar/injector/injectorOptions.ts'
import { program, tempFile } from '../fixtures/runOutrider.ts'

async function refused(t: Parameters<typeof program>[0], ...args: string[]): Promise<{ code: number | null; err: string }> {
  const run = program(t, ['injector', ...args])
  const { code } = await run.exit
  return { code, err: run.stderr() }
}

test('options of the injector that make no sense end with 2 and say what would', async (t) => {
  const image = '--image=outrider:1'
  const cases: [string[], RegExp][] = [
    [[], /^injector needs --image: what to put into the pods\.\n/],
    [[image, '--prot=1'], /^injector has no option --prot\. Did you mean --port\?\n/],
    [[image, '--certificate=self'], /^--certificate must be one of auto, files, not "self"\.\n/],
    [[image, '--certificate=files'], /^--certificate files needs --cert and --key\.\n/],
    [[image, '--cert=x'], /^--cert means nothing with --certificate auto\.\n/],
    [[image, '--certificate=files', '--cert=a', '--key=b', '--overlap=1s'], /^--overlap means nothing with --certificate files\.\n/],
    [[image, '--overlap=soon'], /^--overlap must be a duration such as 500ms, 60s, 5m or 24h, not "soon"\.\n/],
    [[image, '--authority-life=5m'], /^--authority-life must be at least six times --overlap, which is 60s\.\n/],
    [[image, '--run-as-user=0'], /^--run-as-user must be the number of a user other than root, or none, not "0"\.\n/],
    [[image, '--admin-port=x'], /^--admin-port must be a number from 0 to 65535, not "x"\.\n/],
    [[image, '--image-pull-policy=always'], /^--image-pull-policy must be one of Always, IfNotPresent, Never, not "always"\.\n/],
  ]
  for (const [args, sentence] of cases) {
    const { code, err } = await refused(t, ...args)
    assert.equal(code, 2, args.join(' '))
    assert.match(err, sentence)
    assert.match(err, /\n\nUsage: outrider injector /)
  }
})

test('what cannot lead to a cluster ends with 1 and says why', async (t) => {
  const file = (config: object) => `--kubeconfig=${tempFile(t, 'config', JSON.stringify(config))}`
  const at = (server: string) =>
    file({
      clusters: [{ name: 'c', cluster: { server } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      users: [],
      'current-context': 'x',
    })
  const cases: [string, RegExp][] = [
    ['--kubeconfig=/nowhere/config', /The kubeconfig \/nowhere\/config does not exist\./],
    [`--kubeconfig=${tempFile(t, 'config', '{')}`, /is no kubeconfig/],
    [file({}), /is no kubeconfig|names no cluster/],
    [at('http://127.0.0.1:9'), /must be at an https URL, not "http:\/\/127\.0\.0\.1:9"/],
    [at('https://127.0.0.1:9'), /name the one of the injector with --namespace\./],
  ]
  for (const [option, sentence] of cases) {
    const { code, err } = await refused(t, '--image=outrider:1', option)
    assert.equal(code, 1, option)
    assert.match(err, sentence)
    assert.doesNotMatch(err, /\n\s+at /)
  }
})

test('an API server that cannot be reached leaves a live injector that is not ready, says so, and ends when told', async (t) => {
  const config = {
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:9' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'outrider-system' } }],
    users: [{ name: 'u', user: { token: 'none' } }],
    'current-context': 'x',
  }
  const kubeconfig = `--kubeconfig=${tempFile(t, 'config', JSON.stringify(config))}`
  const run = program(t, ['injector', '--image=outrider:1', kubeconfig, '--host=127.0.0.1', '--admin-port=0', '--port=0'])
  const [, port] = await run.printed(/admin port (\d+)/)
  await run.printed(/cannot be reached/)
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`)
  assert.deepEqual([ready.status, await ready.text()], [503, 'no certificate yet\n'])
  assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200)
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  assert.match(metrics, /^outrider_kube_requests_total\{result="unreachable"\} [1-9]/m)
  assert.match(metrics, /^outrider_injector_ready 0$/m)
  run.child.kill('SIGTERM')
  assert.deepEqual(await run.exit, { code: 0, signal: null })
})

test('a start with an image alone has all the other settings', () => {
  const plan = injectorPlan({ image: 'outrider:1' })
  assert.deepEqual([plan.port, plan.adminPort, plan.drainMs, plan.imagePullPolicy], [8443, 9090, 5_000, 'IfNotPresent'])
  assert.deepEqual(plan.certificate, {
    mode: 'auto',
    secret: 'outrider-injector-ca',
    lives: { authorityMs: 365 * 24 * 3_600_000, leafMs: 7 * 24 * 3_600_000, overlapMs: 60_000 },
  })
  assert.ok('image' in injectorKinds)
})
