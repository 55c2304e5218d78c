/** An element of a set and its extensions: timeout, counters, comment, skbinfo, nomatch. */
import type { IpsetElement } from '../xt/ipset.ts';

/** What a user may say of an element beside its key. */
export type Extensions = {
  /** Seconds; 0 for ever. Undefined: the set's default. */
  readonly timeout?: number;
  readonly packets?: bigint;
  readonly bytes?: bigint;
  readonly comment?: string;
  readonly mark?: number;
  readonly markMask?: number;
  readonly priority?: number;
  readonly queue?: number;
  readonly nomatch?: boolean;
  readonly wildcard?: boolean;
};

const SECOND = 1e9;

export class Entry implements IpsetElement {
  readonly key: Uint8Array;
  /** World time in nanoseconds; Infinity for ever. */
  expires: number = Number.POSITIVE_INFINITY;
  packetCount = 0;
  byteCount = 0;
  comment = '';
  mark = 0;
  markMask = 0;
  priority = 0;
  queue = 0;
  nomatch = false;
  wildcard = false;

  constructor(key: Uint8Array) {
    this.key = key;
  }

  get packets(): bigint {
    return BigInt(this.packetCount);
  }

  get bytes(): bigint {
    return BigInt(this.byteCount);
  }

  /** Takes over what was said; what was not said is as new, but counters go on. */
  extend(x: Extensions, defaultTimeout: number | undefined, now: number): void {
    const timeout = x.timeout ?? defaultTimeout ?? 0;
    this.expires = timeout === 0 ? Number.POSITIVE_INFINITY : now + timeout * SECOND;
    if (x.packets !== undefined) this.packetCount = Number(x.packets);
    if (x.bytes !== undefined) this.byteCount = Number(x.bytes);
    this.comment = x.comment ?? '';
    this.mark = x.mark ?? 0;
    this.markMask = x.markMask ?? 0;
    this.priority = x.priority ?? 0;
    this.queue = x.queue ?? 0;
    this.nomatch = x.nomatch ?? false;
    this.wildcard = x.wildcard ?? false;
  }

  /** Seconds left, 0 for ever. */
  left(now: number): number {
    return this.expires === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.floor((this.expires - now) / SECOND));
  }
}
