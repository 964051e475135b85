import assert from 'node:assert/strict'
import type { Seen } from '../../fixtures/provider.ts'

/** The programs, each of them once in TypeScript and once in Python: they do the same and print the same. */
export const programs = ['compareModels', 'ragService', 'asyncWorker'] as const

/** Holds what a program printed, and what the upstream saw of it, against what it is for. */
export function said(name: string, stdout: string, seen: readonly Seen[]): void {
  const lines = stdout.trimEnd().split('\n')
  const bodies = seen.map(({ body }) => JSON.parse(body.toString()) as { model: string })
  switch (name) {
    case 'compareModels':
      assert.equal(lines.length, 4)
      for (const line of lines) assert.match(line, /^\S+: \d+ tokens: You said: “What is a sidecar\?”/)
      assert.equal(new Set(bodies.map(({ model }) => model)).size, 4)
      return
    case 'ragService':
      assert.deepEqual(
        seen.map(({ path }) => path),
        ['/v1/embeddings', '/v1/embeddings', '/v1/chat/completions'],
      )
      assert.match(lines[0] ?? '', /^found: Outrider holds the key\.$/)
      assert.match(lines[1] ?? '', /^answer: You said: “Answer from this: Outrider holds the key\./)
      return
    case 'asyncWorker':
      assert.deepEqual(lines, ['done: 12 jobs, 4 of them urgent'])
      assert.deepEqual(
        ['high', 'low'].map((priority) => seen.filter(({ headers }) => headers['x-priority'] === priority).length),
        [4, 8],
      )
      return
    default:
      assert.fail(`no program is called ${name}`)
  }
}
