// Real keys are longer than any word of a config, and people paste them into the wrong place.
export const longestValue = 15
export const longestName = 31
const keyLike = /^(?:sk|pk|rk|gsk|hf|xai|ghp)[-_]|^AIza|^eyJ|^(?:bearer|basic)\b|@/i

/** Whether a text of a config may be shown to whoever reads what is said of it. */
export function showable(text: string, longest: number): boolean {
  return text.length <= longest && !keyLike.test(text)
}
