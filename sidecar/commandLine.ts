import packageJson from '../package.json' with { type: 'json' }
import { canaryKinds, canaryPlan } from './canary/canaryOptions.ts'
import { help, usage } from './commandHelp.ts'
import { argumentsOf, optionsOf, portOf, proposal, UsageError } from './commandOptions.ts'
import { ConfigRefused } from './config/refused.ts'
import { exitCodes } from './exitCodes.ts'
import { injectorKinds, injectorPlan } from './injector/injectorOptions.ts'

type Env = Readonly<Record<string, string | undefined>>

interface Command {
  readonly usage: string
  readonly run: (args: readonly string[], env: Env) => Promise<number>
}

const commands: Readonly<Record<string, Command>> = {
  proxy: { usage: help.proxy, run: proxyCommand },
  injector: { usage: help.injector, run: injectorCommand },
  validate: { usage: help.validate, run: validateCommand },
  canary: { usage: help.canary, run: canaryCommand },
  demo: { usage: help.demo, run: demoCommand },
  health: { usage: help.health, run: healthCommand },
  sleep: { usage: help.sleep, run: sleepCommand },
}

/** Runs one command and resolves with the exit code of the process. */
export async function commandLine(args: readonly string[], env: Env): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) return complain(exitCodes.usage, usage)
  if (name === '--version' || name === '-v') return say(`outrider ${packageJson.version}`)
  if (name === '--help' || name === '-h' || name === 'help') return say(usage)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    return complain(
      exitCodes.usage,
      `There is no command "${name}".${proposal(name, Object.keys(commands)) || ` There are ${Object.keys(commands).join(', ')}.`}\n\n${inShort(usage, '')}`,
    )
  }
  try {
    if (rest.includes('--help') || rest.includes('-h')) return say(command.usage)
    return await command.run(rest, env)
  } catch (err) {
    return failure(err, name, command)
  }
}

async function proxyCommand(args: readonly string[], env: Env): Promise<number> {
  const { config: file } = optionsOf('proxy', args, { config: 'string' })
  const told = untilTold()
  const reload = onHangup()
  const { loadConfig } = await import('./config/config.ts')
  const { followConfig } = await import('./config/follow.ts')
  const { startProxy } = await import('./proxy/proxy.ts')
  // The environment of a process never changes: only a file is followed.
  const source = file === undefined ? undefined : followConfig(file, () => loadConfig(file, env))
  const { config, warnings } = source === undefined ? await fromEnvironment(env) : await source.load()
  const proxy = await startProxy({ config, warnings, env, ...(source === undefined ? {} : { source }) })
  reload.by(proxy.reload)
  process.on('uncaughtExceptionMonitor', proxy.lastWords)
  await Promise.race([told, proxy.toldToQuit])
  await proxy.drain()
  return leaving()
}

async function injectorCommand(args: readonly string[], env: Env): Promise<number> {
  const plan = injectorPlan(optionsOf('injector', args, injectorKinds))
  const told = untilTold()
  const { startInjector } = await import('./injector/injector.ts')
  const injector = await startInjector({ plan, instance: env['HOSTNAME'] ?? 'outside' })
  await told
  await injector.drain()
  return leaving()
}

async function fromEnvironment(env: Env) {
  const { configFromEnvironment } = await import('./config/environment.ts')
  return configFromEnvironment(env)
}

async function validateCommand(args: readonly string[], env: Env): Promise<number> {
  const { values, operands } = argumentsOf('validate', args, { against: 'string', json: 'boolean', strict: 'boolean' })
  const { against, json = false, strict = false } = values
  if (operands.length === 0) throw new UsageError('validate needs a config: FILE, a folder, or - for standard input.')
  if (against === '-' && operands.includes('-')) throw new UsageError('Standard input cannot be both the config and the one from before.')
  const { validate } = await import('./config/validate.ts')
  const readInput = async (): Promise<string> => {
    const { text } = await import('node:stream/consumers')
    return text(process.stdin)
  }
  const { ok, out, err } = await validate({ paths: operands, against, strict, json, env, readInput })
  process.stdout.write(out)
  process.stderr.write(err)
  return ok ? exitCodes.ok : exitCodes.configRefused
}

async function canaryCommand(args: readonly string[]): Promise<number> {
  const { values, operands } = argumentsOf('canary', args, canaryKinds)
  const plan = canaryPlan(operands, values)
  const told = plan.action === 'watch' ? untilTold() : new Promise<void>(() => {})
  const { canary } = await import('./canary/canary.ts')
  return canary(plan, told, { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) })
}

async function healthCommand(args: readonly string[]): Promise<number> {
  const { url: written, port: writtenPort, live } = optionsOf('health', args, { url: 'string', port: 'string', live: 'boolean' })
  if (written !== undefined && writtenPort !== undefined) throw new UsageError('health takes --url or --port, not both.')
  const url = URL.parse(written ?? `http://localhost:${portOf(writtenPort, 1) ?? 9090}`)
  if (url?.protocol !== 'http:') throw new UsageError('--url must be a whole URL that starts with http://, such as http://localhost:9090.')
  url.pathname = `${url.pathname.replace(/\/(?:(?:live|ready|startup)z)?$/, '')}/${live ? 'livez' : 'readyz'}`
  const { health } = await import('./health.ts')
  const { good, line } = await health(url)
  return good ? say(line) : complain(exitCodes.failed, line)
}

async function sleepCommand(args: readonly string[]): Promise<number> {
  const told = untilTold()
  const [written, more] = argumentsOf('sleep', args, {}).operands
  if (written === undefined || more !== undefined) throw new UsageError('sleep takes one duration, such as 5s.')
  const { durationPattern, parseDuration } = await import('./config/units.ts')
  const text = /^\d+$/.test(written) ? `${written}s` : written
  const wait = durationPattern.test(text) ? parseDuration(text) : Number.NaN
  // A timer of the runtime holds no more.
  if (!(wait <= 2_147_483_647)) throw new UsageError(`"${written}" is no duration up to 24 days: write 500ms, 5s or 2m.`)
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, wait)))
  await Promise.race([over, told])
  clearTimeout(timer)
  return exitCodes.ok
}

async function demoCommand(args: readonly string[], env: Env): Promise<number> {
  const { port: written } = optionsOf('demo', args, { port: 'string' })
  const port = portOf(written, 0)
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

/** A help of forty lines would push the one that matters out of sight. */
const inShort = (text: string, name: string): string => `${text.split('\n', 1)[0]}\noutrider ${name}--help tells more.`

function failure(err: unknown, name: string, command: Command): number {
  if (err instanceof UsageError) return complain(exitCodes.usage, `${err.message}\n\n${inShort(command.usage, `${name} `)}`)
  if (err instanceof ConfigRefused) return complain(exitCodes.configRefused, `The config is refused:\n${err.message}`)
  return complain(exitCodes.failed, `Outrider could not start: ${err instanceof Error ? err.message : String(err)}`)
}
