import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { commandChapters } from './chapters.ts'
import { masked } from './masked.ts'
import { allHeard, textsBehind } from './texts.ts'

const scenes = commandChapters.flatMap((chapter) => chapter.scenes)
const everything: string[] = []

suite('what is told of a command that fails', { concurrency: 4 }, () => {
  for (const { title, says, play } of scenes) {
    test(title, async (t) => {
      // The exit code and that there is no stack trace are looked at there.
      const { came: said, log } = await play(t)
      const came = [said, ...log].join('\n').replaceAll('\\"', '"')
      everything.push(came)
      assert.doesNotMatch(came, /\[redacted\]|sk-proj|secret-token|\[object|\bundefined\b|NaN/)
      for (const what of says) {
        assert.ok(typeof what === 'string' ? came.includes(what) : what.test(came), `${String(what)} is not in ${masked(came)}`)
      }
    })
  }
})

/** Texts that no command of the scenes brings, with the reason. */
const unsaid: Readonly<Record<string, string>> = {
  'Port ${port} may not be used without privileges: choose one above 1023 with ${where}.': 'needs a user without privileges',
  'cannot be read: permission denied': 'needs a user without privileges: root may read everything',
  'refers to an anchor that is not defined before it': 'such an alias is found before, with its place',
}

const begins = [
  /new (?:UsageError|CanaryTrouble|Unreached|PortTrouble)\(/,
  // Of a config, with the place in front of it.
  /(?<=[\s(,=:?])(?=['`](?:must|needs|is|are|has|holds|cannot|stands|leaves|leads|keeps|names|refers|does|unknown key|contradict|goes) )/,
]

test('every text of a command is in a scene, or it is said why it is not', () => {
  const texts = [...textsBehind(begins[0] ?? /$/), ...textsBehind(begins[1] ?? /$/, 'config')]
  assert.ok(texts.length > 150, `only ${texts.length} texts were found in the source`)
  allHeard(texts, everything.join('\n'), unsaid)
})
