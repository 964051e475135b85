import { container } from './container.ts'
import { environment } from './environment.ts'
import { marks } from './marks.ts'
import type { Plan } from './plan.ts'
import { pullSecrets } from './pullSecrets.ts'
import type { Raw } from './raw.ts'
import { volumes } from './volumes.ts'

/** One thing that is put into a pod. Done twice, it is as if it was done once: the API server may ask again about what it was given. */
type Step = (pod: Raw, plan: Plan) => Raw

const steps: readonly Step[] = [
  container,
  // Behind the container: which init containers can call it depends on where it stands.
  environment,
  volumes,
  pullSecrets,
  marks,
]

/** Pod in, pod with sidecar out. */
export function inject(pod: Raw, plan: Plan): Raw {
  return steps.reduce((made, step) => step(made, plan), pod)
}
