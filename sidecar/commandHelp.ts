import { canaryHelp } from './canary/canaryOptions.ts'
import { environmentNames } from './config/environmentNames.ts'
import { exitCodeHelp } from './exitCodes.ts'
import { injectorHelp } from './injector/injectorOptions.ts'

const names = environmentNames.map(({ names: of, help }) => `  ${of.join(' ')}\n      ${help}\n`).join('')

/** What `outrider --help` says. */
export const usage = `Usage: outrider COMMAND [OPTIONS]

  proxy [--config FILE]   serve calls, as the config or the environment says
  injector                put sidecars into the pods of a cluster
  validate FILE...        say everything that is wrong with a config
  canary status|set|...   look at the canary of a running process, change or watch it
  demo [--port PORT]      the proxy in front of two fake providers, to try it out
  health [--port PORT]    ask a running sidecar whether it is ready
  sleep DURATION          wait, in an image without a shell

  COMMAND --help          more about one command
  --version               the version

${exitCodeHelp}`

/** What `outrider COMMAND --help` says. */
export const help = {
  proxy: `Usage: outrider proxy [--config FILE]

Serves calls until it is told to stop: SIGTERM or SIGINT finishes what is in flight, a second one ends at once.
A config file is read again when it changes, and on SIGHUP.

  --config FILE   the config, YAML or JSON
  --help          this text

With a file, the file alone counts. Of the environment it takes what it names: \${NAME} or \${NAME:-default} in a text
($\${ is \${ itself), and { env: NAME } of a credential. Of the list below only the proxies count then, where the file
names none; a warning says which others do nothing.

Without a file, the environment alone is the config:

${names}
Where several names say the same thing, they must not contradict each other.
`,
  injector: `Usage: outrider injector --image IMAGE [OPTIONS]

Answers the API servers of a cluster that ask what to put into new pods, and keeps the certificates for that in order. Usually the chart starts
it; outside of the cluster it needs --kubeconfig, and a webhook with a URL. The profiles are ConfigMaps of its namespace with the label
outrider.dev/profile.

${injectorHelp}
  --help                      this text
`,
  validate: `Usage: outrider validate FILE... [--against OLD] [--json] [--strict]

Says everything that is wrong with these configs, and ends with 64 if there is something. Offline: nobody is asked.
\${NAME} is filled in from the environment of this command, as proxy would do it.

  FILE            a config; a folder stands for its *.yaml, *.yml and *.json, and - for standard input
  --against OLD   the config from before: a model whose version goes backwards is a problem
  --json          print one JSON document: { ok, files: [{ file, problems, warnings }] }
  --strict        a warning is a problem too
  --help          this text
`,
  canary: canaryHelp,
  demo: `Usage: outrider demo [--port PORT]

Runs the proxy in front of two fake providers, and shows calls to paste.

  --port PORT     where to listen; 8080 unless given, 0 for any free port
  --help          this text
`,
  health: `Usage: outrider health [--port PORT | --url URL] [--live]

Asks a sidecar whether it is ready to serve, prints one line, and ends with 0 if it is and with 1 if not. For a health check
in an image without a shell.

  --port PORT     its port for probes, on this machine; 9090 unless given
  --url URL       where its probes are, such as http://10.0.0.7:9090
  --live          ask whether it is alive, though perhaps about to stop
  --help          this text
`,
  sleep: `Usage: outrider sleep DURATION

Waits, and ends at once when it is told to stop. For a preStop hook in an image without a shell.

  DURATION        such as 500ms, 5s or 2m; a number alone is seconds
  --help          this text
`,
} as const
