/**
 * Ids of a recorded state, and what they are called in the present one. Few pairs: a map of JavaScript's for each
 * comparison would cost more than it finds, so that one object serves all comparisons of a verification.
 */
export class IdMap {
  /** Names of scalars without an id; nobody sees them. */
  #nameless = 0;
  /** A recorded id, a present one, and so on. */
  readonly #pairs: number[] = [];
  #length = 0;

  /** Empty; `nameless`: no id so far is greater. */
  start(nameless: number): this {
    this.#nameless = nameless;
    this.#length = 0;
    return this;
  }

  same(old: number, cur: number): boolean {
    if ((old === 0) !== (cur === 0)) return false;
    if (old === 0) return true;
    const pairs = this.#pairs;
    const length = this.#length;
    for (let i = 0; i < length; i += 2) {
      if (pairs[i] === old) return pairs[i + 1] === cur;
      if (pairs[i + 1] === cur) return false;
    }
    pairs[length] = old;
    pairs[length + 1] = cur;
    this.#length = length + 2;
    return true;
  }

  /** A scalar without an id stands alone, and may not stand for two linked ones. */
  sameScalar(old: number, cur: number): boolean {
    return this.same(old === 0 ? ++this.#nameless : old, cur === 0 ? ++this.#nameless : cur);
  }
}
