/** Names in lower case; a header that came more than once is a list. */
export type Headers = Record<string, string | string[] | undefined>
