/**
 * The memory one run may touch. The interpreter, and compiled code in its checking mode, ask before every access: context,
 * packet, stack frames, map values, records and whatever a helper handed out. Verified programs never fail here; an access
 * that does is a hole in the verifier and ends the run with `BadAccess`.
 */

/** An access outside everything the program was given; thrown inside an engine, caught by whoever started the run. */
export class BadAccess extends Error {
  readonly address: number;
  readonly size: number;

  constructor(what: string, address: number, size: number) {
    super(`${what} of ${size} bytes at 0x${address.toString(16)} is outside of what the program was given`);
    this.name = 'BadAccess';
    this.address = address;
    this.size = size;
  }
}

/** Where the packet's bytes (with metadata in front) begin and end; they move during a run. */
export type PacketBounds = { packetStart(): number; packetEnd(): number };

export class Regions {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #writable: boolean[] = [];

  /** Forgets everything granted since there were `count` regions. */
  reset(count = 0): void {
    this.#starts.length = this.#ends.length = this.#writable.length = count;
  }

  get count(): number {
    return this.#starts.length;
  }

  /** Allows `size` bytes from `address` on. */
  grant(address: number, size: number, writable = true): void {
    // The same value looked up again and again in a loop.
    const last = this.#starts.length - 1;
    for (let i = last; i >= 0 && i > last - 8; i--) {
      if (this.#starts[i] === address && this.#ends[i] === address + size && this.#writable[i] === writable) return;
    }
    this.#starts.push(address);
    this.#ends.push(address + size);
    this.#writable.push(writable);
  }

  /** True when all of `[address, address+size)` lies in one region granted. */
  allows(address: number, size: number, write: boolean): boolean {
    for (let i = this.#starts.length - 1; i >= 0; i--) {
      if (address >= this.#starts[i] && address + size <= this.#ends[i] && (!write || this.#writable[i])) return true;
    }
    return false;
  }
}
