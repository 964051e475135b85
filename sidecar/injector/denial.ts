/** A pod that is refused; the message says what is wrong with it and what would be right. */
export class Denial extends Error {
  override readonly name = 'Denial'
}
