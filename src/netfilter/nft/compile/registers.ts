/**
 * What the compiler knows of the register file while it writes a rule: which bytes of it are bytes of a header, of the
 * context or constants, so that they need not be copied before they are compared.
 */

/** Where bytes come from: headers by pointer, the context, nothing but the compiler's knowledge. */
export type Base = 'network' | 'transport' | 'context' | 'constant';

/** Bytes `at`, `at + 1`, ... of the register file; those beyond `valid` are zero. */
export type Region = {
  readonly at: number;
  readonly length: number;
  readonly valid: number;
  readonly base: Base;
  readonly off: number;
  readonly value?: Uint8Array;
  readonly mask?: Uint8Array;
  readonly xor?: Uint8Array;
};

/** A part of a region that one load gives. */
export type Piece = {
  readonly size: number;
  readonly base: Base;
  readonly off: number;
  /** Little-endian numbers of `size` bytes. */
  readonly constant: bigint | undefined;
  readonly mask: bigint | undefined;
  readonly xor: bigint;
};

export function littleEndian(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

export function networkOrder(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(bytes[at + i]);
  return value;
}

export class Registers {
  #regions: Region[] = [];
  /** Offset of the register file in the context. */
  readonly #file: number;

  constructor(file: number) {
    this.#file = file;
  }

  /** Nothing is known any more: everything is in the context. */
  forget(): void {
    this.#regions = [];
  }

  /** Bytes now lie in the context. */
  stored(at: number, length: number): void {
    this.#cut(at, length);
  }

  define(region: Region): void {
    this.#cut(region.at, region.length);
    this.#regions.push(region);
  }

  #cut(at: number, length: number): void {
    const end = at + length;
    const kept: Region[] = [];
    for (const r of this.#regions) {
      if (r.at >= end || r.at + r.length <= at) {
        kept.push(r);
        continue;
      }
      if (r.at < at) kept.push(part(r, r.at, at - r.at));
      if (r.at + r.length > end) kept.push(part(r, end, r.at + r.length - end));
    }
    this.#regions = kept;
  }

  /** `length` bytes from `from` on as they are, moved to `to`, each masked and flipped. */
  copyOf(from: number, to: number, mask: Uint8Array, xor: Uint8Array): Region[] {
    const out: Region[] = [];
    const length = mask.length;
    for (let i = 0; i < length; ) {
      const r = this.#at(from + i);
      const n = Math.min(length - i, r.at + r.length - (from + i));
      const sub = part(r, from + i, n);
      const m = mask.subarray(i, i + n);
      const x = xor.subarray(i, i + n);
      if (sub.base === 'constant') {
        const value = new Uint8Array(n);
        for (let k = 0; k < n; k++) value[k] = ((k < sub.valid ? sub.value![sub.off + k] : 0) & m[k]) ^ x[k];
        out.push({ at: to + i, length: n, valid: n, base: 'constant', off: 0, value });
      } else {
        const masked = new Uint8Array(n);
        const flipped = new Uint8Array(n);
        for (let k = 0; k < n; k++) {
          masked[k] = (sub.mask?.[k] ?? 255) & m[k];
          flipped[k] = ((sub.xor?.[k] ?? 0) & m[k]) ^ x[k];
        }
        // What is zero becomes a constant of its own.
        if (sub.valid < n) {
          const tail = flipped.slice(sub.valid);
          const head = { at: to + i, length: sub.valid, valid: sub.valid, mask: masked, xor: flipped };
          if (sub.valid > 0) out.push({ ...sub, ...head });
          out.push({
            at: to + i + sub.valid,
            length: n - sub.valid,
            valid: n - sub.valid,
            base: 'constant',
            off: 0,
            value: tail,
          });
        } else out.push({ ...sub, at: to + i, length: n, valid: n, mask: masked, xor: flipped });
      }
      i += n;
    }
    return out;
  }

  #at(at: number): Region {
    const found = this.#regions.find((r) => at >= r.at && at < r.at + r.length);
    if (found !== undefined) return found;
    const next = this.#regions.reduce((end, r) => (r.at > at && r.at < end ? r.at : end), 80);
    return { at, length: next - at, valid: next - at, base: 'context', off: this.#file + at };
  }

  /** The largest piece at `at`, of at most `max` bytes; `aligned`: at a multiple of its size counted from `origin`. */
  piece(at: number, max: number, origin: number = at): Piece {
    const r = this.#at(at);
    const rel = at - r.at;
    const zero = rel >= r.valid;
    const room = Math.min(max, zero ? r.length - rel : r.valid - rel);
    let size = room >= 8 ? 8 : room >= 4 ? 4 : room >= 2 ? 2 : 1;
    while (r.base === 'context' && !zero && (r.off + rel) % size !== 0) size >>= 1;
    while ((at - origin) % size !== 0) size >>= 1;
    if (zero) return { size, base: 'constant', off: 0, constant: 0n, mask: undefined, xor: 0n };
    const mask = r.mask === undefined ? undefined : littleEndian(r.mask, rel, size);
    const xor = r.xor === undefined ? 0n : littleEndian(r.xor, rel, size);
    const full = (1n << BigInt(size * 8)) - 1n;
    const constant = r.base === 'constant' ? littleEndian(r.value!, r.off + rel, size) : mask === 0n ? xor : undefined;
    return { size, base: r.base, off: r.off + rel, constant, mask: mask === full ? undefined : mask, xor };
  }
}

function part(r: Region, at: number, length: number): Region {
  const skip = at - r.at;
  return {
    at,
    length,
    valid: Math.max(0, Math.min(length, r.valid - skip)),
    base: r.base,
    off: r.off + skip,
    value: r.value,
    mask: r.mask?.subarray(skip, skip + length),
    xor: r.xor?.subarray(skip, skip + length),
  };
}
