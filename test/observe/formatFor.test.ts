import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatFor } from '../../sidecar/observe/formatFor.ts'

test('a scraper gets the format that it likes best', () => {
  // As Prometheus asks by default, and where its config puts the text format in front.
  const usual = 'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5'
  assert.equal(formatFor(`${usual},text/plain;version=0.0.4;q=0.4,*/*;q=0.3`), 'openmetrics')
  assert.equal(formatFor('text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2'), 'prometheus')
  assert.equal(formatFor('application/OpenMetrics-Text; version=1.0.0'), 'openmetrics')
  assert.equal(formatFor('text/plain, application/openmetrics-text'), 'openmetrics', 'it tells more')
})

test('the plain format is for who does not ask for the other', () => {
  for (const accept of [
    '',
    '*/*',
    'text/plain',
    'text/html,*/*;q=0.8',
    'application/openmetrics-text;q=0',
    'application/openmetrics-text;q=x',
  ])
    assert.equal(formatFor(accept), 'prometheus', accept)
  assert.equal(formatFor('application/openmetrics-text;q=0.1,*/*'), 'prometheus')
})
