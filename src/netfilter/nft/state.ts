/**
 * Numbers that packets change in an expression: counters, quotas, token buckets. They are JavaScript numbers until compiled
 * code works on them too; from then on they are words of 64 bits in the packet memory, which interpreter, compiled code and
 * dumps all read and write, so that no recompilation loses one.
 */

const HIGH = 0x1_0000_0000;

export class State {
  readonly #numbers: number[];
  #u32: Uint32Array | undefined;
  /** Index of the first word in `#u32`. */
  #at = 0;

  constructor(...start: number[]) {
    this.#numbers = start;
  }

  /** How many numbers there are. */
  get length(): number {
    return this.#numbers.length;
  }

  get(i: number): number {
    if (this.#u32 === undefined) return this.#numbers[i];
    const w = this.#at + 2 * i;
    return this.#u32[w + 1] * HIGH + this.#u32[w];
  }

  set(i: number, value: number): void {
    if (this.#u32 === undefined) {
      this.#numbers[i] = value;
      return;
    }
    const w = this.#at + 2 * i;
    this.#u32[w] = value % HIGH;
    this.#u32[w + 1] = value / HIGH;
  }

  add(i: number, n: number): void {
    if (this.#u32 === undefined) {
      this.#numbers[i] += n;
      return;
    }
    const w = this.#at + 2 * i;
    const low = this.#u32[w] + n;
    this.#u32[w] = low;
    if (low >= HIGH) this.#u32[w + 1] += low / HIGH;
  }

  /** Moves the numbers to the words from byte `address` on. */
  share(u32: Uint32Array, address: number): void {
    const values = this.#numbers.map((_, i) => this.get(i));
    this.#u32 = u32;
    this.#at = address >> 2;
    for (const [i, value] of values.entries()) this.set(i, value);
  }

  /** Byte address of the words, 0 while there are none. */
  get address(): number {
    return this.#u32 === undefined ? 0 : this.#at << 2;
  }

  /** Takes the numbers back out of the words at `address`, unless they have moved on to other words. */
  unshare(address: number): void {
    if (this.address !== address) return;
    this.#numbers.forEach((_, i) => {
      this.#numbers[i] = this.get(i);
    });
    this.#u32 = undefined;
  }
}
