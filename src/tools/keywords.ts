/** Walks the words of tools that speak in keywords (`tc`, `bpftool`). */

/** A wrong command line: the tool answers with this and its usage. */
export class UsageError extends Error {}

export class Keywords {
  readonly #words: readonly string[];
  #at = 0;
  constructor(words: readonly string[]) {
    this.#words = words;
  }
  get done(): boolean {
    return this.#at >= this.#words.length;
  }
  /** Takes the next word; the command line is incomplete without one. */
  next(): string {
    if (this.done) throw new UsageError('the command line is not complete');
    return this.#words[this.#at++];
  }
  /** Takes the next word if it is this one. */
  accept(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at++;
    return true;
  }
  number(what = 'number'): number {
    const text = this.next();
    if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new UsageError(`"${text}" is no ${what}`);
    return Number(text);
  }
}
