// A reporter for node --test: what "spec" says, and the counts once more as the last line, so that nobody has to look above a list of failures.
import { Readable } from 'node:stream'
import { spec } from 'node:test/reporters'
import type { TestEvent } from 'node:test/reporters'

export default async function* closingLine(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let line = 'tests: none was run\n'
  const watched = async function* (): AsyncGenerator<TestEvent> {
    for await (const event of events) {
      // Each file has a summary as well.
      if (event.type === 'test:summary' && event.data.file === undefined) {
        const { tests, passed, skipped, todo } = event.data.counts
        const seconds = Math.round(event.data.duration_ms / 1_000)
        line = `tests: ${passed} passed, ${tests - passed - skipped - todo} failed, ${skipped} skipped, ${seconds} s\n`
      }
      yield event
    }
  }
  for await (const text of Readable.from(watched()).pipe(new spec())) yield String(text)
  yield line
}
