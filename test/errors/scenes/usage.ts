import { commandScene } from '../commandScene.ts'
import type { Chapter, Scene } from '../scene.ts'

const wrong = (says: string, ...args: string[]): Scene => commandScene(args.join(' ') || '(nothing)', { says: [says], code: 2, args })

/** Command lines that cannot be understood. */
export const usage: Chapter = {
  title: 'Command lines that cannot be understood',
  scenes: [
    wrong('Usage: outrider COMMAND'),
    wrong('Did you mean proxy?', 'porxy'),
    wrong('There are proxy, injector, validate', 'serve'),
    wrong('Did you mean --config?', 'proxy', '--confg', 'x'),
    wrong('proxy has no option -c', 'proxy', '-c', 'x'),
    wrong('--config needs a value', 'proxy', '--config'),
    wrong('"outrider.yaml" is none', 'proxy', 'outrider.yaml'),
    wrong('validate needs a config', 'validate'),
    wrong('--json takes no value', 'validate', 'x', '--json=yes'),
    wrong('Standard input cannot be both', 'validate', '-', '--against', '-'),
    wrong('from 0 to 65535, not "eighty"', 'demo', '--port', 'eighty'),
    wrong('--url or --port, not both', 'health', '--port', '1', '--url', 'http://a'),
    wrong('such as http://localhost:9090', 'health', '--url', 'localhost:9090'),
    wrong('one duration, such as 5s', 'sleep'),
    wrong('"long" is no duration', 'sleep', 'long'),
    wrong('canary needs one of status, set', 'canary'),
    wrong('Did you mean promote?', 'canary', 'promot'),
    wrong('canary status has no option --reason', 'canary', 'status', '--reason', 'x'),
    wrong('"now" is none', 'canary', 'promote', 'now', '--token-file', 'x'),
    wrong('control.tokenFile', 'canary', 'promote'),
    wrong('one weight, such as 25', 'canary', 'set', '--token-file', 'x'),
    wrong('"much" is no weight', 'canary', 'set', 'much', '--token-file', 'x'),
    wrong('such as http://localhost:9091', 'canary', 'status', '--control', 'localhost:9091'),
    wrong('one line of plain ASCII', 'canary', 'set', '5', '--token-file', 'x', '--reason', 'schön'),
    wrong('--version must be a whole number', 'canary', 'reset', '--token-file', 'x', '--version', 'v1'),
    wrong('--for must be a duration', 'canary', 'watch', '--for', 'ever'),
    wrong('injector needs --image', 'injector'),
    wrong('must be one of auto, files', 'injector', '--image=outrider:1', '--certificate=self'),
    wrong('needs --cert and --key', 'injector', '--image=outrider:1', '--certificate=files'),
    wrong('means nothing with --certificate auto', 'injector', '--image=outrider:1', '--cert=x'),
    wrong('at least six times --overlap', 'injector', '--image=outrider:1', '--authority-life=5m'),
    wrong('--overlap must be a duration', 'injector', '--image=outrider:1', '--overlap=soon'),
    wrong('a user other than root', 'injector', '--image=outrider:1', '--run-as-user=0'),
  ],
}
