import packageJson from '../package.json' with { type: 'json' }
import { optionsOf, proposal, UsageError } from './commandOptions.ts'
import { ConfigRefused } from './config/refused.ts'

/** What the process ends with; the same for every command. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, configRefused: 64 } as const

type Env = Readonly<Record<string, string | undefined>>

interface Command {
  readonly usage: string
  readonly run: (args: readonly string[], env: Env) => Promise<number>
}

const commands: Readonly<Record<string, Command>> = {
  proxy: {
    usage: `Usage: outrider proxy --config FILE

Serves calls as the config says, until it is told to stop: SIGTERM or SIGINT finishes
what is in flight, a second one ends at once. The config is read again when its file
changes, and on SIGHUP.

  --config FILE   the config, YAML or JSON
  --help          this text
`,
    run: proxyCommand,
  },
  demo: {
    usage: `Usage: outrider demo [--port PORT]

Runs the proxy in front of a fake provider, and shows calls to paste. Some of its
models misbehave, so that failures can be seen too.

  --port PORT     where to listen; 8080 unless given, 0 for any free port;
                  where it is taken, a free one is used and said
  --help          this text
`,
    run: demoCommand,
  },
}

const usage = `Usage: outrider COMMAND [OPTIONS]

  proxy --config FILE     serve calls as the config says
  demo [--port PORT]      the proxy in front of a fake provider, to try it out

  COMMAND --help          more about one command
  --version               the version
`

/** Runs one command and resolves with the exit code of the process. */
export async function commandLine(args: readonly string[], env: Env): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) return complain(exitCodes.usage, usage)
  if (name === '--version' || name === '-v') return say(`outrider ${packageJson.version}`)
  if (name === '--help' || name === '-h' || name === 'help') return say(usage)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    return complain(exitCodes.usage, `There is no command "${name}".${proposal(name, Object.keys(commands))}\n\n${usage}`)
  }
  try {
    if (rest.includes('--help') || rest.includes('-h')) return say(command.usage)
    return await command.run(rest, env)
  } catch (err) {
    return failure(err, command)
  }
}

async function proxyCommand(args: readonly string[], env: Env): Promise<number> {
  const { config: file } = optionsOf('proxy', args, { config: 'string' })
  if (file === undefined) throw new UsageError('proxy needs a config: --config FILE.')
  const told = untilTold()
  const reload = onHangup()
  const { loadConfig } = await import('./config/config.ts')
  const { followConfig } = await import('./config/follow.ts')
  const { startProxy } = await import('./proxy/proxy.ts')
  const source = followConfig(file, () => loadConfig(file))
  const { config, warnings } = await source.load()
  const proxy = await startProxy({ config, warnings, env, source })
  reload.by(proxy.reload)
  process.on('uncaughtExceptionMonitor', proxy.lastWords)
  await told
  await proxy.drain()
  return leaving()
}

async function demoCommand(args: readonly string[], env: Env): Promise<number> {
  const { port: written } = optionsOf('demo', args, { port: 'string' })
  const port = written === undefined ? undefined : Number(written)
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new UsageError(`--port must be a number from 0 to 65535, not "${written}".`)
  }
  const told = untilTold()
  const { demo } = await import('./demo/demo.ts')
  const { parseConfig } = await import('./config/config.ts')
  const { startProxy } = await import('./proxy/proxy.ts')
  const running = await demo({
    ...(port === undefined ? {} : { port }),
    out: process.stdout,
    plain: (env['NO_COLOR'] ?? '') !== '',
    startProxy: async (text, write) => {
      const { config } = await parseConfig(text, 'demo config')
      const proxy = await startProxy({ config, warnings: [], env, write })
      return { url: `http://localhost:${proxy.port}`, close: proxy.close }
    },
  })
  await told
  await running.close()
  return leaving()
}

/**
 * Resolves at the first order to stop and ends the process at the second. To be called before anything is started: the first process of a
 * container gets no signal that it does not listen for.
 */
function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    let told = false
    const onSignal = (): void => {
      if (told) process.exit(exitCodes.ok)
      told = true
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

/** An order to read the config again must not end a process that is still starting. */
function onHangup(): { by: (reload: () => Promise<void>) => void } {
  let asked = false
  let reload: (() => Promise<void>) | undefined
  process.on('SIGHUP', () => {
    asked = true
    void reload?.()
  })
  return {
    by: (how) => {
      reload = how
      if (asked) void how()
    },
  }
}

/** Whatever still holds the event loop is of no use to anybody now: log lines, for one, that nobody takes. */
function leaving(): number {
  setTimeout(() => process.exit(exitCodes.ok), 200).unref()
  return exitCodes.ok
}

function say(text: string): number {
  process.stdout.write(`${text.trimEnd()}\n`)
  return exitCodes.ok
}

function complain(code: number, text: string): number {
  process.stderr.write(`${text.trimEnd()}\n`)
  return code
}

function failure(err: unknown, command: Command): number {
  if (err instanceof UsageError) return complain(exitCodes.usage, `${err.message}\n\n${command.usage}`)
  if (err instanceof ConfigRefused) return complain(exitCodes.configRefused, `The config is refused:\n${err.message}`)
  return complain(exitCodes.failed, `Outrider could not start: ${err instanceof Error ? err.message : String(err)}`)
}
