// `npm run transcripts [-- FILE]`: every error, as it is met. For whoever has changed the text of one and wants to read it in its place.
import { writeFileSync } from 'node:fs'
import { callChapters, commandChapters } from './chapters.ts'
import { masked } from './masked.ts'
import type { Scene } from './scene.ts'
import { playAlone } from './stage.ts'

const [file] = process.argv.slice(2)
const width = 100

async function told(scene: Scene): Promise<string> {
  const { did, came, log } = await playAlone(scene).catch((err: unknown) => {
    process.exitCode = 1
    return { did: '', came: `THIS SCENE FAILED: ${String(err)}`, log: [] }
  })
  const kind = scene.kind === undefined ? '' : `  [${scene.kind}]`
  const lines = log.length === 0 ? '' : `\n\nlog:\n${log.join('\n')}`
  return masked(`## ${scene.title}${kind}\n\n${did.replace(/^(?!#)/m, '$ ')}\n\n${came}${lines}\n`)
}

let text = '# Every error of Outrider, as it is met\n\nPorts, ids, times and the like are masked.\n'
for (const { title, scenes } of [...callChapters, ...commandChapters]) {
  text += `\n${'='.repeat(width)}\n# ${title}\n\n`
  // One after the other, each would wait alone.
  for (let at = 0; at < scenes.length; at += 6) text += `${(await Promise.all(scenes.slice(at, at + 6).map(told))).join('\n')}\n`
}
if (file === undefined) process.stdout.write(text)
else writeFileSync(file, text)
