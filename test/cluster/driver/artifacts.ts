import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Kubectl, Namespace } from './namespace.ts'

const folder = join(import.meta.dirname, '../../../.cluster/failed')

/** Keeps what is known of a failed test's namespace, in a folder named after the test. */
export async function saveArtifacts(test: string, namespace: Namespace, kubectl: Kubectl): Promise<void> {
  const into = join(folder, test.replace(/[^\w]+/g, '-').slice(0, 100))
  mkdirSync(into, { recursive: true })
  const save = async (name: string, ask: () => Promise<string>) => {
    const said = await ask().catch((err: unknown) => String(err))
    if (said !== '') writeFileSync(join(into, name), said)
  }
  const here = ['-n', namespace.name]
  const pods = await namespace.list('pods')
  await Promise.all([
    save('events.txt', () => kubectl(['get', 'events', ...here, '--sort-by=.metadata.creationTimestamp'])),
    save('objects.txt', () => kubectl(['get', 'all,configmaps,endpointslices', ...here, '-o', 'wide'])),
    save('pods.yaml', () => kubectl(['get', 'pods', ...here, '-o', 'yaml'])),
    save('describe.txt', () => kubectl(['describe', 'pods', ...here])),
    ...pods.flatMap(({ metadata: { name }, spec }) => {
      const containers: readonly { readonly name: string }[] = [...(spec.initContainers ?? []), ...spec.containers]
      return containers.flatMap((container) => [
        save(`${name}.${container.name}.log`, () => kubectl(['logs', ...here, name, '-c', container.name])),
        save(`${name}.${container.name}.before.log`, () =>
          kubectl(['logs', ...here, name, '-c', container.name, '--previous']).catch(() => ''),
        ),
      ])
    }),
  ])
  console.log(`what is known of it: ${into}`)
}
