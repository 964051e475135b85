import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import { decide, type Decision } from '../../sidecar/injector/decide.ts'
import { listOf, nameOf, rawOf, type Raw } from '../../sidecar/injector/raw.ts'
import { applied } from './applied.ts'
import { profilesOf, settingsWith } from './injection.ts'
import { pods } from './pods.ts'

const profiles = await profilesOf()
const clusters = [31, 34].map((minor) => settingsWith(profiles, { nativeSidecars: () => minor >= 33, serverMinor: () => minor }))
const folder = join(import.meta.dirname, 'golden')
const golden = readdirSync(folder)
  .filter((file) => file.endsWith('.in.yaml'))
  .map((file) => (parse(readFileSync(join(folder, file), 'utf8')) as { pod: Raw }).pod)
// Most generated pods are injected; a run in which none were would show nothing.
const runs = { numRuns: 400 }

/** For each pod that is injected, generated ones and those of the golden pairs, on an old cluster and on a new one. */
function forEachInjected(holds: (made: Extract<Decision, { result: 'injected' }>, pod: Raw, again: (pod: Raw) => Decision) => void): void {
  let injected = 0
  const look = (pod: Raw): void => {
    for (const settings of clusters) {
      const again = (one: Raw): Decision => decide({ pod: one, namespace: 'team-a' }, settings)
      const made = again(pod)
      if (made.result !== 'injected') continue
      injected++
      holds(made, pod, again)
    }
  }
  for (const pod of golden) look(pod)
  fc.assert(fc.property(pods, look), runs)
  assert.ok(injected > 200, `only ${injected} pods were injected`)
}

test('injected again, a pod stays as it is', () => {
  forEachInjected(({ pod: made }, _pod, again) => {
    assert.deepEqual(again(made), { result: 'skipped', reason: 'already_injected', message: undefined })
  })
})

test('the patch makes of the pod exactly what injection makes of it, and the pod given is left alone', () => {
  forEachInjected(({ pod: made, patch }, pod) => {
    assert.deepEqual(applied(pod, patch), made)
  })
  fc.assert(
    fc.property(pods, (pod) => {
      const before = structuredClone(pod)
      decide({ pod, namespace: 'team-a' }, settingsWith(profiles))
      assert.deepEqual(pod, before)
    }),
  )
})

/** What injection may change of a container of the app; all else is the app's. */
const withoutEnv = ({ env: _, ...rest }: Raw): Raw => rest

test('whatever is not known here survives', () => {
  forEachInjected(({ pod: made }, pod) => {
    const { metadata, spec, ...top } = made
    const { metadata: metadataBefore, spec: specBefore, ...topBefore } = pod
    assert.deepEqual(top, topBefore)
    assert.deepEqual(without(metadata, ['labels', 'annotations']), without(metadataBefore, ['labels', 'annotations']))
    const ours = ['containers', 'initContainers', 'volumes', 'imagePullSecrets']
    assert.deepEqual(without(spec, ours), without(specBefore, ours))
    const parts = (of: unknown) =>
      ['containers', 'initContainers'].map((key) =>
        listOf(rawOf(of)[key])
          .filter((one) => nameOf(one) !== 'outrider')
          .map(withoutEnv),
      )
    assert.deepEqual(parts(spec), parts(specBefore))
  })
})

test('no variable of the app is taken away or changed but NO_PROXY, and ours of an earlier injection', () => {
  forEachInjected(({ pod: made, reason }, pod) => {
    if (reason === 'again') return
    const before = [...listOf(rawOf(pod['spec'])['containers']), ...listOf(rawOf(pod['spec'])['initContainers'])]
    const after = [...listOf(rawOf(made['spec'])['containers']), ...listOf(rawOf(made['spec'])['initContainers'])]
    for (const container of before) {
      const env = listOf(after.find((one) => nameOf(one) === nameOf(container))?.['env'])
      const kept = env
        .slice(0, listOf(container['env']).length)
        .map((entry, at) => (isNoProxy(entry) ? listOf(container['env'])[at] : entry))
      assert.deepEqual(kept, listOf(container['env']))
      const added = env.slice(kept.length).map(nameOf)
      for (const name of added)
        assert.equal(
          kept.some((entry) => entry && nameOf(entry) === name),
          false,
          name,
        )
    }
  })
})

test('one sidecar stands in the pod, first but for a mesh; what starts before it is told nothing, and nothing else mounts what is its own', () => {
  forEachInjected(({ pod: made, reason }) => {
    const spec = rawOf(made['spec'])
    const lists = ['initContainers', 'containers'].map((key) => listOf(spec[key]))
    const all = lists.flat()
    assert.equal(all.filter((one) => nameOf(one) === 'outrider').length, 1)
    const list = lists.find((one) => one.some((part) => nameOf(part) === 'outrider')) ?? []
    const at = list.findIndex((one) => nameOf(one) === 'outrider')
    assert.ok(list.slice(at).every((one) => !/^(?:istio|linkerd)-/.test(nameOf(one))))
    assert.ok(at === 0 || /^(?:istio|linkerd)-/.test(nameOf(list[at - 1] ?? {})))
    const earlier = list === lists[0] ? list.slice(0, at) : (lists[0] ?? [])
    // A copy of a pod from elsewhere may have been told there.
    if (reason === 'new') {
      assert.equal(
        earlier.some((one) => listOf(one['env']).some(({ value }) => value === 'outrider-holds-the-key')),
        false,
      )
    }
    const mounts = all.filter((one) => listOf(one['volumeMounts']).some((mount) => nameOf(mount).startsWith('outrider-')))
    assert.deepEqual(mounts.map(nameOf), ['outrider'])
  })
})

const without = (part: unknown, keys: readonly string[]): Raw =>
  Object.fromEntries(Object.entries(rawOf(part)).filter(([key]) => !keys.includes(key)))
const isNoProxy = (entry: Raw): boolean => /^no_proxy$/i.test(nameOf(entry))
