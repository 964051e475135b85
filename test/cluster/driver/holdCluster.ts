// Starts a cluster that lives as long as this process, as a test run does, and says so.
import { placeOf } from '../machine/place.ts'
import { up } from '../machine/up.ts'

await up(placeOf(process.env['CLUSTER'] ?? ''), 'with me')
console.log('holding')
setInterval(() => {}, 2 ** 30)
