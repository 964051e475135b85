import { answering, streams } from './scenes/answering.ts'
import { client, shapes } from './scenes/client.ts'
import { settings, syntax, warnings } from './scenes/config.ts'
import { connecting } from './scenes/connecting.ts'
import { many } from './scenes/many.ts'
import { own } from './scenes/own.ts'
import { ports } from './scenes/ports.ts'
import { whileRunning } from './scenes/running.ts'
import { sockets } from './scenes/sockets.ts'
import { starting } from './scenes/starting.ts'
import { usage } from './scenes/usage.ts'
import type { Chapter } from './scene.ts'

/** What is told to who calls. */
export const callChapters: readonly Chapter[] = [client, shapes, own, connecting, answering, streams, many, sockets, ports]

/** What is told to who types a command. */
export const commandChapters: readonly Chapter[] = [usage, starting, syntax, settings, warnings, whileRunning]
