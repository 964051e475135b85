import { strict as assert } from 'node:assert'
import { ConfigRefused, parseConfig } from '../../sidecar/config/config.ts'

/** The smallest config there is, as JSON, with other settings laid over it. */
export function withSettings(settings: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ upstreams: [{ name: 'sheep', url: 'https://api.example/v1' }], ...settings })
}

/** The smallest config with its upstream changed. */
export function withUpstream(changes: Readonly<Record<string, unknown>>, settings: Readonly<Record<string, unknown>> = {}): string {
  return withSettings({ upstreams: [{ name: 'sheep', url: 'https://api.example/v1', ...changes }], ...settings })
}

/** The lines of a refusal; fails if the config is taken. */
export async function refusalOf(text: string, parse: (text: string, source: string) => Promise<unknown> = parseConfig): Promise<string[]> {
  const outcome = await parse(text, 'x').catch((refused: unknown) => refused)
  assert(outcome instanceof ConfigRefused, 'the config was taken')
  return outcome.message.split('\n').map((line) => line.replace(/^x(?=[: ])/, '').trimStart())
}
