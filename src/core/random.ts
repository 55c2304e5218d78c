/**
 * Seeded randomness: xoshiro128** (Blackman and Vigna, 2018), seeded by splitmix32. Every random choice inside netloom
 * comes from one of these, handed in: the same seed gives the same bytes.
 */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  constructor(seed: number) {
    let s = seed | 0;
    const next = (): number => {
      s = (s + 0x9e3779b9) | 0;
      let z = s;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return z ^ (z >>> 16);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next();
  }

  /** A 32-bit unsigned integer. */
  u32(): number {
    const mul = Math.imul(this.#b, 5);
    const result = Math.imul((mul << 7) | (mul >>> 25), 9);
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** An integer in [0, n), by multiplication as the kernel's `reciprocal_scale`. */
  below(n: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * n);
  }

  /** A number in [0, 1). */
  unit(): number {
    return this.u32() / 0x1_0000_0000;
  }

  /** A generator of its own, so that one consumer's draws do not shift another's. */
  fork(): Random {
    return new Random(this.u32());
  }
}
