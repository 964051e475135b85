const gone = '[redacted]'

/** A shorter one is no secret, and stands in half of all texts. */
const shortestSecret = 4

/**
 * What looks like a key: the prefixes that providers give theirs, a token behind `Bearer` or `Basic`, a JSON Web Token, a login inside of a
 * URL, and whatever stands behind a name that says what it is. None of the replacements can unbalance a quote: a line stays JSON.
 */
const patterns: readonly (readonly [RegExp, string])[] = [
  [/\b(bearer|basic|token)(\s+)[\w.~+/=-]{6,}/gi, `$1$2${gone}`],
  [/\b(?:sk|pk|rk|gsk|xai|hf|pplx|glpat|ghp|gho|ghs|github_pat|xox[abprs])[-_][\w-]{6,}/g, gone],
  [/\bAIza[\w-]{20,}/g, gone],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, gone],
  [/\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?/g, gone],
  [/(:\/\/)[^\s/"'\\@]+@/g, `$1${gone}@`],
  [
    /((?:authorization|cookie|password|passwd|secret|credential|(?:api|access|private|client|secret)[-_ ]?(?:key|token|secret))(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?)(?!\[redacted\]|(?:bearer|basic|token)\s)[^\s"'\\,;&}\]]{2,}/gi,
    `$1${gone}`,
  ],
]

/** The text without anything that looks like a key, and without these secrets, whatever they look like. */
export function redacted(text: string, secrets: readonly string[] = []): string {
  let out = text
  for (const secret of secrets) if (secret.length >= shortestSecret) out = out.replaceAll(secret, gone)
  for (const [pattern, instead] of patterns) out = out.replace(pattern, instead)
  return out
}
