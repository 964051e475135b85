import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isReady } from './driver/conditions.ts'
import { theCluster } from './driver/cluster.ts'
import { tool } from './machine/programs.ts'
import { placeOf } from './machine/place.ts'
import { until } from './machine/until.ts'
import { startProvider } from './provider.ts'
import { app, pod, settings } from './pods.ts'

const cluster = theCluster()

// It looks for pods when it starts, then at each change, and scrapes each second.
const scrapedMs = 30_000
const startingMs = 30_000

test('Prometheus discovers a pod by its annotations and counts its calls', async (t) => {
  const namespace = await cluster.namespace(t)
  const annotations = { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090' }
  await startProvider(cluster, namespace)
  await namespace.apply(...settings(), pod('app', { containers: [app(['sleep', '3600'])] }, { annotations }))
  await namespace.waitFor('pods', 'app', isReady)
  const url = await prometheus(t, namespace.name)
  await Promise.all(Array.from({ length: 3 }, () => namespace.exec('app', 'app', ['node', '/app/ask.cjs'])))
  const query = async (text: string): Promise<readonly { readonly metric: Record<string, string>; readonly value: [number, string] }[]> => {
    const res = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(text)}`, { signal: AbortSignal.timeout(10_000) })
    return ((await res.json()) as { data: { result: [] } }).data.result
  }
  const counted = await until(
    'Prometheus has counted the calls',
    async () => {
      const [found] = await query(`sum(outrider_calls_total{pod="app",namespace="${namespace.name}"})`)
      return found !== undefined && Number(found.value[1]) >= 3 ? found : undefined
    },
    scrapedMs,
  )
  assert.equal(counted.value[1], '3')
  const [up] = await query('up')
  assert.equal(up?.metric['container'], 'outrider')
  assert.equal(up?.value[1], '1')
})

/** Prometheus with the usual discovery, in the network of the cluster. */
async function prometheus(t: TestContext, namespace: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-prometheus-'))
  const from = (label: string): string => `__meta_kubernetes_pod_${label}`
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [
      {
        job_name: 'pods',
        kubernetes_sd_configs: [
          { role: 'pod', kubeconfig_file: placeOf(process.env['CLUSTER'] ?? '').adminConfig, namespaces: { names: [namespace] } },
        ],
        relabel_configs: [
          { source_labels: [from('annotation_prometheus_io_scrape')], regex: 'true', action: 'keep' },
          // A container without ports is a target as well, and one with several is several.
          { source_labels: [from('annotation_prometheus_io_port')], target_label: from('container_port_number'), action: 'keepequal' },
          { source_labels: [from('name')], target_label: 'pod' },
          { source_labels: ['__meta_kubernetes_namespace'], target_label: 'namespace' },
          { source_labels: [from('container_name')], target_label: 'container' },
        ],
      },
    ],
  }
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config))
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, '--web.listen-address=127.0.0.1:0']
  const child = spawn(await tool('prometheus'), args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise((resolve) => {
    child.once('close', resolve)
  })
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true })
  })
  let said = ''
  return new Promise((resolve, reject) => {
    const giveUp = setTimeout(() => {
      reject(new Error(`Prometheus does not listen: ${said}`))
    }, startingMs)
    giveUp.unref()
    child.once('error', reject)
    child.once('exit', () => {
      reject(new Error(`Prometheus has ended: ${said}`))
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const [, address] = /"Listening on".* address=(\S+)/.exec(said) ?? []
      if (address !== undefined) resolve(`http://${address}`)
    })
  })
}
