/** What differs from run to run, and tells nothing: so that two transcripts can be compared. */
export function masked(text: string): string {
  return rules.reduce((so, [pattern, instead]) => so.replaceAll(pattern, instead), text)
}

const rules: readonly (readonly [RegExp, string])[] = [
  [/\/tmp\/(?:outrider-test|certificates)-\w+/g, '/tmp/somewhere'],
  [/(127\.0\.0\.1|localhost|\[::1\]):(?!8080\b|909[01]\b|9\b|3128\b)\d{4,5}\b/g, '$1:PORT'],
  [/\b([Pp]ort|admin port|control port) (?!8080\b|909[01]\b)\d{4,5}\b/g, '$1 PORT'],
  [/("call":"|x-outrider-call: |request_id":"|\bcall )[0-9a-z]+-[0-9a-z]+/g, '$1CALL'],
  [/"(trace_id|span_id)":"\w+"/g, '"$1":"…"'],
  [/"(time|since)":"[^"]*"/g, '"$1":"…"'],
  [/"since": "[^"]*"/g, '"since": "…"'],
  [/"(\w*_?ms)":\d[\d.]*/g, '"$1":…'],
  [/(is ejected for) [\d.]+ s/g, '$1 … s'],
  [/\bafter \d+\.\d s\b/g, 'after … s'],
  [/\(process \d+\)/g, '(process PID)'],
  [/"bytes_(in|out)":\d+/g, '"bytes_$1":…'],
  [/etag: "\w+/g, 'etag: "MARK'],
  [/\(file:\/\/[^)]*\)|\bat (?:file:\/\/)?\/[^\s"\\]*/g, '(…)'],
]
