/**
 * Memory as the interpreter sees it: every access is checked against what the run was given, and is a `BadAccess`
 * otherwise.
 */
import { isSkbContext, narrowField } from '../runtime/ctx.ts';
import { BadAccess, type Regions } from '../runtime/regions.ts';
import type { Run } from '../runtime/run.ts';

export class CheckedMemory {
  readonly #run: Run;
  readonly #regions: Regions;
  readonly #ctxSize: number;
  readonly #skb: boolean;
  /** Lowest address of the stack in use: the frame pointer of the innermost frame less 512. */
  stackLow: number;

  constructor(run: Run, regions: Regions, ctxSize: number) {
    this.#run = run;
    this.#regions = regions;
    this.#ctxSize = ctxSize;
    this.#skb = isSkbContext(run.progType);
    this.stackLow = run.stackTop;
  }

  /** The address as a number, when `size` bytes there may be accessed. */
  check(address: bigint, size: number, write: boolean): number {
    const at = Number(address);
    const run = this.#run;
    if (at >= this.stackLow && at + size <= run.stackTop) return at;
    if (at >= run.packetStart() && at + size <= run.packetEnd()) return at;
    if (at >= run.ctx && at + size <= run.ctx + this.#ctxSize) return at;
    if (this.#regions.allows(at, size, write)) return at;
    throw new BadAccess(write ? 'a write' : 'a read', at, size);
  }

  load(address: bigint, size: number): bigint {
    const at = this.check(address, size, false);
    const { dv } = this.#run;
    if (size === 8) return dv.getBigUint64(at, true);
    return BigInt(size === 4 ? dv.getUint32(at, true) : size === 2 ? dv.getUint16(at, true) : dv.getUint8(at));
  }

  /** Some fields of a `struct __sk_buff` hold less than they show. */
  #narrow(at: number, word: number): number {
    const offset = at - this.#run.ctx;
    return this.#skb && offset >= 0 && offset < this.#ctxSize ? narrowField(offset, word) : word;
  }

  store(address: bigint, size: number, value: bigint): void {
    const at = this.check(address, size, true);
    const { dv } = this.#run;
    if (size === 8) dv.setBigUint64(at, BigInt.asUintN(64, value), true);
    else if (size === 4) {
      const word = this.#narrow(at, Number(BigInt.asUintN(32, value)));
      if (word >= 0) dv.setUint32(at, word, true);
    } else if (size === 2) dv.setUint16(at, Number(BigInt.asUintN(16, value)), true);
    else dv.setUint8(at, Number(BigInt.asUintN(8, value)));
  }
}
