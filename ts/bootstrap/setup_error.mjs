/** A failed set-up: what is wrong, and what the user can do about it. */
export class SetupError extends Error {
  /**
   * @param {string} message what is wrong
   * @param {string} remedy what to do, as a full sentence
   */
  constructor(message, remedy) {
    super(message);
    this.name = 'SetupError';
    this.remedy = remedy;
  }

  /** Text for the terminal. */
  report() {
    return `ammd: ${this.message}\n      ${this.remedy.replaceAll('\n', '\n      ')}`;
  }
}
