import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { watchFiles } from '../../sidecar/config/watchFiles.ts'
import { folder, mountedSecret, replaceFile } from '../fixtures/mountedSecret.ts'

/** Long enough for a busy machine, and shorter than the interval at which a file is looked at anyway. */
const soonMs = 8_000

/** Watches, and hands out the changes one by one. */
function watching(t: TestContext, ...paths: string[]): { change: () => Promise<void>; count: () => number } {
  let count = 0
  let taken = 0
  let tell = (): void => {}
  const watched = watchFiles(paths, () => {
    count++
    tell()
  })
  t.after(watched.close)
  const change = async (): Promise<void> => {
    taken++
    if (count >= taken) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    tell = resolve
    const late = setTimeout(() => {
      reject(new Error(`no change was told within ${soonMs} ms`))
    }, soonMs)
    await promise
    clearTimeout(late)
  }
  return { change, count: () => count }
}

suite('a change is told as soon as it is there', { concurrency: true }, () => {
  test('of a file that another is renamed over, time and again', async (t) => {
    const file = join(folder(t), 'key')
    writeFileSync(file, '0')
    const { change, count } = watching(t, file)
    for (let n = 1; n <= 3; n++) {
      replaceFile(file, String(n))
      await change()
    }
    assert.equal(count(), 3)
  })

  test('of a file that is written in place', async (t) => {
    const file = join(folder(t), 'key')
    writeFileSync(file, 'one')
    const { change } = watching(t, file)
    truncateSync(file)
    appendFileSync(file, 'two')
    await change()
  })

  test('of a mounted Secret whose ..data link is swapped, time and again', async (t) => {
    const secret = mountedSecret(t, { key: 'one' })
    const { change } = watching(t, secret.file('key'))
    for (const text of ['two', 'three', 'four']) {
      secret.swap({ key: text })
      await change()
    }
  })

  test('of a file that comes later, and of one that goes', async (t) => {
    const file = join(folder(t), 'key')
    const { change } = watching(t, file)
    writeFileSync(file, '')
    await change()
    unlinkSync(file)
    await change()
  })

  test('of a file whose folder comes later, is replaced, and comes again', async (t) => {
    const place = join(folder(t), 'mount')
    const { change } = watching(t, join(place, 'key'))
    mkdirSync(place)
    writeFileSync(join(place, 'key'), 'one')
    await change()
    mkdirSync(`${place}.new`)
    writeFileSync(join(`${place}.new`, 'key'), 'two')
    renameSync(place, `${place}.old`)
    renameSync(`${place}.new`, place)
    await change()
    rmSync(place, { recursive: true })
    await change()
    mkdirSync(place)
    writeFileSync(join(place, 'key'), 'three')
    await change()
  })

  test('of a file that a link in another folder points to', async (t) => {
    const [here, there] = [folder(t), folder(t)]
    writeFileSync(join(there, 'real'), 'one')
    symlinkSync(join(there, 'real'), join(here, 'key'))
    const { change } = watching(t, join(here, 'key'))
    replaceFile(join(there, 'real'), 'two')
    await change()
  })

  test('of a file that goes and comes again where a link points to', async (t) => {
    const place = folder(t)
    const target = join(folder(t), 'key')
    writeFileSync(target, 'one')
    symlinkSync(target, join(place, 'key'))
    const { change } = watching(t, join(place, 'key'))
    for (const text of ['two', 'three']) {
      unlinkSync(target)
      await change()
      writeFileSync(target, text)
      await change()
    }
  })

  test('of a link in the middle of the way, in a folder of its own', async (t) => {
    const [place, middle, versions] = [folder(t), folder(t), folder(t)]
    for (const name of ['a', 'b', 'c']) {
      mkdirSync(join(versions, name))
      writeFileSync(join(versions, name, 'key'), name)
    }
    symlinkSync(join(versions, 'a'), join(middle, 'current'))
    symlinkSync(join('..', basename(middle), 'current', 'key'), join(place, 'key'))
    const { change } = watching(t, join(place, 'key'))
    for (const name of ['b', 'c', 'a']) {
      symlinkSync(join(versions, name), join(middle, 'next'))
      renameSync(join(middle, 'next'), join(middle, 'current'))
      await change()
    }
  })

  test('of a link that leads round in a circle, and then to a file', async (t) => {
    const place = folder(t)
    symlinkSync('b', join(place, 'a'))
    symlinkSync('a', join(place, 'b'))
    const { change } = watching(t, join(place, 'a'))
    replaceFile(join(place, 'b'), 'one')
    await change()
  })

  test('in a folder in which something else is written all the time', async (t) => {
    const place = folder(t)
    writeFileSync(join(place, 'key'), 'one')
    const { change } = watching(t, join(place, 'key'))
    const noise = setInterval(() => {
      appendFileSync(join(place, 'noise'), 'x')
    }, 10)
    t.after(() => {
      clearInterval(noise)
    })
    replaceFile(join(place, 'key'), 'two')
    await change()
  })
})

test('what happened before is no change, what happens right after the beginning is one', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'one')
  replaceFile(file, 'two')
  const { change, count } = watching(t, file)
  replaceFile(file, 'three')
  await change()
  assert.equal(count(), 1)
})

test('the same content once more, and other files of the folder, are no change', async (t) => {
  const place = folder(t)
  const file = join(place, 'key')
  writeFileSync(file, 'one')
  const { change, count } = watching(t, file)
  replaceFile(file, 'one')
  writeFileSync(join(place, 'other'), 'x')
  const marker = watching(t, join(place, 'marker'))
  writeFileSync(join(place, 'marker'), 'x')
  await marker.change()
  assert.equal(count(), 0)
  replaceFile(file, 'two')
  await change()
  assert.equal(count(), 1)
})

test('files that change together are told together', async (t) => {
  const secret = mountedSecret(t, { 'tls.crt': 'a', 'tls.key': 'b' })
  const { change, count } = watching(t, secret.file('tls.crt'), secret.file('tls.key'))
  secret.swap({ 'tls.crt': 'c', 'tls.key': 'd' })
  await change()
  assert.equal(count(), 1)
})

test('a watch that was closed tells nothing and keeps nothing', async (t) => {
  const file = join(folder(t), 'key')
  writeFileSync(file, 'one')
  let told = 0
  const watched = watchFiles([file], () => told++)
  watched.close()
  const other = watching(t, file)
  replaceFile(file, 'two')
  await other.change()
  assert.equal(told, 0)
})
