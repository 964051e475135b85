/** What parsers say of an answer that is not HTTP names protocols that nobody has in mind. */
export const noHttp = (told: string): string => (told.includes('Expected HTTP/') ? 'it does not begin with "HTTP/"' : told)
