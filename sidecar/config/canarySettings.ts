import * as v from 'valibot'
import { count, duration, flag, headerName, name, share } from './kinds.ts'
import { mapping } from './mapping.ts'
import { modelName } from './modelSettings.ts'
import { optional, setting } from './setting.ts'

const aPercentage = 'must be a percentage: a number from 0 to 100, such as 10 or 0.5, without quotes'
const percentage = v.pipe(v.number(aPercentage), v.minValue(0, aPercentage), v.maxValue(100, aPercentage))

// Headers with another purpose are dropped, or mean something else, before anybody looks for the canary.
const elsewhere =
  /^(?:x-outrider-.*|authorization|cookie|host|connection|content-length|content-type|expect|te|trailer|transfer-encoding)$/i
const ownHeader = v.pipe(
  headerName,
  v.check((text) => !elsewhere.test(text), 'is a header with another purpose: choose one of your own'),
)

export const canary = mapping({
  upstreams: optional(
    v.pipe(v.array(name, 'must be a list of names of upstreams'), v.minLength(1, 'is empty: leave it out where the model is the canary')),
    { help: 'The upstreams that are on trial; the others of the route are the stable side. One with weight 0 gets no other calls.' },
  ),
  model: optional(modelName, {
    help: 'The model that is asked on the canary side, in place of the one that the call is for; at these upstreams, or at those of the route.',
  }),
  weight: setting(percentage, {
    default: 10,
    help: 'How many of a hundred calls go to the canary; what is set at run time goes first until this is changed.',
    reason: 'Enough to see within minutes what is wrong, and nine calls in ten never meet it.',
  }),
  header: setting(ownHeader, {
    default: 'x-canary',
    help: 'The header by which a call chooses its side: true is the canary and nothing else, false the stable side.',
    reason: 'The name that meshes and pipelines commonly use.',
  }),
  passHeader: setting(flag, {
    default: false,
    help: 'Let that header go on to the upstream.',
    reason: 'It is meant for the one who chooses, and that is Outrider.',
  }),
  stickyBy: optional(headerName, {
    help: 'A header, such as that of a user: calls with the same value stay on one side, also in other sidecars, and a higher weight takes nobody back.',
  }),
  failoverThreshold: setting(share, {
    default: 0.1,
    help: 'An error rate of the canary above it takes its weight to 0 until told otherwise; 1: never.',
    reason: 'Providers fail two or three calls in a hundred on an ordinary day, and ten on none.',
  }),
  margin: setting(share, {
    default: 0.05,
    help: 'By so much its error rate must be above that of the stable side too.',
    reason: 'In an outage of both the canary is not to blame, and chance alone makes some difference.',
  }),
  minimumCalls: setting(count(), {
    default: 50,
    help: 'Below so many calls within the window a side says nothing.',
    reason: 'Of twenty calls three fail by chance now and then, of fifty hardly ever six.',
  }),
  window: setting(duration({ least: '1s' }), {
    default: '10m',
    help: 'The window of both error rates.',
    reason: 'With a call in ten, a quiet app makes fifty in about that time.',
  }),
  refusals: setting(flag, {
    default: true,
    help: 'Count a call that is refused as wrong (400, 404, 422 ...) as an error, as far as the stable side can be compared.',
    reason: 'A new model that no longer takes a parameter fails in no other way, and what apps do wrong the stable side refuses as well.',
  }),
})
