import fc from 'fast-check'
import type { Raw } from '../../sidecar/injector/raw.ts'

/** Fields of a Kubernetes that is yet to come. */
const unknown = fc.dictionary(
  fc.stringMatching(/^future[A-Z][a-z]{1,6}$/),
  fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown),
  { maxKeys: 3 },
)

const port = fc.constantFrom(80, 3000, 8080, 8081, 9090, 9091, 9095, 18_080, 19_090, 19_091, 28_080)
const handler = fc.oneof(
  port.map((number) => ({ httpGet: { path: '/', port: number, scheme: 'HTTP' } })),
  fc.constant({ httpGet: { path: '/', port: 'http' } }),
  port.map((number) => ({ tcpSocket: { port: number } })),
  port.map((number) => ({ grpc: { port: number, service: null } })),
  fc.constant({ exec: { command: ['true'] } }),
)

const variable = fc
  .tuple(
    fc.constantFrom(
      'OPENAI_BASE_URL',
      'OPENAI_API_BASE',
      'OPENAI_API_KEY',
      'ANTHROPIC_BASE_URL',
      'HOLYSHEEP_API_KEY',
      'PORT',
      'HTTPS_PROXY',
      'http_proxy',
      'NO_PROXY',
      'no_proxy',
      'LLM_URL',
      'OTHER',
    ),
    fc.oneof(
      fc
        .constantFrom(
          '',
          '8080',
          'http://localhost:8080/v1',
          'http://localhost:18080/v1',
          'http://vllm:8000',
          'localhost',
          '*',
          'sk-1234567890123456',
        )
        .map((value) => ({ value })),
      fc.constant({ valueFrom: { secretKeyRef: { name: 'keys', key: 'k' } } }),
      fc.constant({}),
    ),
  )
  .map(([name, rest]) => ({ name, ...rest }))

const optionally = { requiredKeys: [] }

const body = fc.record(
  {
    image: fc.constant('busybox'),
    env: fc.array(variable, { maxLength: 5 }),
    envFrom: fc.array(fc.constantFrom({ secretRef: { name: 'all' } }, { prefix: 'DB_', configMapRef: { name: 'db' } }), { maxLength: 2 }),
    ports: fc.array(
      port.map((containerPort) => ({ containerPort, protocol: 'TCP' })),
      { maxLength: 2 },
    ),
    livenessProbe: handler,
    lifecycle: handler.map((preStop) => ({ preStop })),
    resources: fc.constantFrom({}, { limits: { cpu: '1' } }),
    volumeMounts: fc.constant([{ name: 'data', mountPath: '/data' }]),
  },
  optionally,
)

const containers = (names: readonly string[], least: number) =>
  fc
    .shuffledSubarray([...names], { minLength: least })
    .chain((chosen) => fc.tuple(...chosen.map((name) => fc.tuple(body, unknown).map(([known, future]) => ({ name, ...known, ...future })))))

const annotation = fc.record(
  {
    'outrider.dev/mode': fc.constantFrom('auto', 'native', 'legacy'),
    'outrider.dev/profile': fc.constantFrom('default', 'careful', 'keyless'),
    'outrider.dev/port': fc.constantFrom('8080', '8099', '18080'),
    'outrider.dev/env': fc.constantFrom('none', 'OPENAI_BASE_URL', 'OPENAI_BASE_URL,OPENAI_API_KEY'),
    'outrider.dev/skip-containers': fc.constant('app'),
    'outrider.dev/scrape': fc.constantFrom('true', 'false'),
    'outrider.dev/memory-limit': fc.constantFrom('64Mi', '1Gi'),
    'outrider.dev/drain': fc.constantFrom('1s', '40s'),
    'prometheus.io/port': fc.constantFrom('9090', '3000'),
    'kubectl.kubernetes.io/default-container': fc.constant('app'),
  },
  optionally,
)

/** Pods as they may come, with all that injection looks at and much that it does not. */
export const pods: fc.Arbitrary<Raw> = fc
  .record({
    annotations: fc.option(annotation, { nil: undefined }),
    labels: fc.constantFrom(undefined, {}, { app: 'chat', 'outrider.dev/inject': 'enabled' }),
    owner: fc.constantFrom(undefined, 'ReplicaSet', 'Job'),
    containers: containers(['app', 'worker', 'istio-proxy', 'vault-agent'], 1),
    initContainers: fc.option(containers(['istio-init', 'linkerd-proxy', 'migrate', 'wait'], 0), { nil: undefined }),
    spec: fc.record(
      {
        terminationGracePeriodSeconds: fc.constantFrom(0, 2, 30, 300),
        hostNetwork: fc.constantFrom(false, true),
        shareProcessNamespace: fc.boolean(),
        resources: fc.constantFrom({ requests: { cpu: '1' } }, { limits: { memory: '1Gi' } }),
        volumes: fc.constant([{ name: 'data', emptyDir: {} }]),
        imagePullSecrets: fc.constant([{ name: 'own' }]),
      },
      optionally,
    ),
    future: fc.tuple(unknown, unknown, unknown),
  })
  .map(({ annotations, labels, owner, containers: list, initContainers, spec, future: [top, meta, inSpec] }) =>
    throughJson({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        generateName: 'chat-',
        annotations,
        labels,
        ownerReferences: owner && [{ apiVersion: 'v1', kind: owner, name: 'chat', uid: 'u', controller: true }],
        ...meta,
      },
      spec: { containers: list, initContainers, ...spec, ...inSpec },
      ...top,
    }),
  )

/** As it comes through JSON: without what is undefined. */
const throughJson = (pod: unknown): Raw => JSON.parse(JSON.stringify(pod)) as Raw
