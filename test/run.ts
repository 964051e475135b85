// `npm test`: all tests that need neither root nor a cluster. What stands behind `--` goes to Node: `npm test -- --test-name-pattern=repeated`.
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
// A test that takes this long has got stuck.
const longestTestMs = 120_000

const child = spawn(
  process.execPath,
  [
    '--test',
    // Node leaves one core out, and on a machine of two nothing would run side by side. Tests wait a good deal, so none need be left out.
    `--test-concurrency=${availableParallelism()}`,
    `--test-timeout=${longestTestMs}`,
    '--test-reporter=./test/closingLine.ts',
    ...process.argv.slice(2),
    'test/*.test.ts',
    'test/!(bench|cluster|image)/**/*.test.ts',
  ],
  {
    cwd: root,
    stdio: 'inherit',
    // Hundreds of processes load the same files.
    env: { NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/outrider-tests'), ...process.env },
  },
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
child.once('exit', (code) => {
  process.exitCode = code ?? 1
})
