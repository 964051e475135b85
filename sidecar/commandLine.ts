import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import { ConfigRefused } from './config/refused.ts'

/** What the process ends with; the same for every command. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, configRefused: 64 } as const

type Env = Readonly<Record<string, string | undefined>>

const usage = `Usage: outrider COMMAND [OPTIONS]

  proxy --config FILE     serve calls as the config says
  demo [--port PORT]      the proxy in front of a fake provider, to try it out

  --help                  this text
  --version               the version
`

/** Runs one command and resolves with the exit code of the process. */
export async function commandLine(args: readonly string[], env: Env): Promise<number> {
  const [command, ...rest] = args
  try {
    switch (command) {
      case 'proxy':
        return await proxyCommand(rest, env)
      case 'demo':
        return await demoCommand(rest, env)
      case '--version':
        return say(`outrider ${packageJson.version}`)
      case '--help':
      case 'help':
        return say(usage)
      default:
        return complain(exitCodes.usage, command === undefined ? usage : `There is no command "${command}".\n\n${usage}`)
    }
  } catch (err) {
    return failure(err)
  }
}

async function proxyCommand(args: readonly string[], env: Env): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { config: { type: 'string' }, help: { type: 'boolean' } } })
  if (values.help === true) return say(usage)
  if (values.config === undefined) return complain(exitCodes.usage, 'proxy needs a config: outrider proxy --config FILE')
  const { loadConfig } = await import('./config/config.ts')
  const { startProxy } = await import('./proxy/proxy.ts')
  const { config, warnings } = await loadConfig(values.config)
  const proxy = await startProxy({ config, warnings, env })
  await untilTold(() => proxy.drain())
  return exitCodes.ok
}

async function demoCommand(args: readonly string[], env: Env): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { port: { type: 'string' }, help: { type: 'boolean' } } })
  if (values.help === true) return say(usage)
  const port = values.port === undefined ? undefined : Number(values.port)
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    return complain(exitCodes.usage, `--port must be a number from 0 to 65535, not "${values.port}"`)
  }
  const { demo } = await import('./demo/demo.ts')
  const { parseConfig } = await import('./config/config.ts')
  const { startProxy } = await import('./proxy/proxy.ts')
  const running = await demo({
    ...(port === undefined ? {} : { port }),
    out: process.stdout,
    startProxy: async (text) => {
      const { config } = await parseConfig(text, 'demo config')
      const proxy = await startProxy({ config, warnings: [], env })
      return { url: `http://localhost:${proxy.port}`, close: proxy.close }
    },
  })
  await untilTold(() => running.close())
  return exitCodes.ok
}

/** Ends in order at the first signal and at once at the second. */
function untilTold(stop: () => Promise<void>): Promise<void> {
  return new Promise((done, fail) => {
    let told = false
    const onSignal = (): void => {
      if (told) process.exit(exitCodes.ok)
      told = true
      stop().then(done, fail)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  }).then(() => {
    // Whatever still holds the event loop is of no use to anybody now.
    setTimeout(() => process.exit(exitCodes.ok), 200).unref()
  })
}

function say(text: string): number {
  process.stdout.write(`${text.trimEnd()}\n`)
  return exitCodes.ok
}

function complain(code: number, text: string): number {
  process.stderr.write(`${text.trimEnd()}\n`)
  return code
}

function failure(err: unknown): number {
  if (err instanceof ConfigRefused) return complain(exitCodes.configRefused, `The config is refused:\n${err.message}`)
  const { code, message, port } = err as NodeJS.ErrnoException & { port?: number }
  if (code?.startsWith('ERR_PARSE_ARGS') === true) return complain(exitCodes.usage, `${message}\n\n${usage}`)
  if (code === 'EADDRINUSE') {
    return complain(
      exitCodes.failed,
      `Port ${port} is taken by another program; choose another with listen.port or admin.port in the config.`,
    )
  }
  if (code === 'EACCES' && port !== undefined)
    return complain(exitCodes.failed, `Port ${port} may not be used without privileges; choose one above 1023.`)
  return complain(exitCodes.failed, `Outrider could not start: ${message}`)
}
