/** SCTP's part of a connection's record (`struct ip_ct_sctp`). */
import type { Words } from './tuple.ts';

/** A view: word 0 small fields, 1 and 2 the verification tags of the original and the reply direction. */
export class SctpState {
  readonly #words: Words;
  readonly #at: number;

  constructor(words: Words, at: number) {
    this.#words = words;
    this.#at = at;
  }

  #byte(shift: number): number {
    return (this.#words[this.#at] >>> shift) & 0xff;
  }
  #setByte(shift: number, value: number): void {
    this.#words[this.#at] = (this.#words[this.#at] & ~(0xff << shift)) | ((value & 0xff) << shift);
  }

  /** SCTP_CONNTRACK_* */
  get state(): number {
    return this.#byte(0);
  }
  set state(value: number) {
    this.#setByte(0, value);
  }
  get lastDir(): number {
    return this.#byte(8);
  }
  set lastDir(value: number) {
    this.#setByte(8, value);
  }
  /** A heartbeat with another tag passed. */
  get vtagFailed(): boolean {
    return this.#byte(16) !== 0;
  }
  set vtagFailed(value: boolean) {
    this.#setByte(16, value ? 1 : 0);
  }
  /** True when a direction has sent INIT. */
  init(dir: number): boolean {
    return (this.#byte(24) & (1 << dir)) !== 0;
  }
  setInit(dir: number, value: boolean): void {
    const bits = this.#byte(24);
    this.#setByte(24, value ? bits | (1 << dir) : bits & ~(1 << dir));
  }
  /** The tag that packets of a direction must carry; 0: not known. */
  vtag(dir: number): number {
    return this.#words[this.#at + 1 + dir];
  }
  setVtag(dir: number, value: number): void {
    this.#words[this.#at + 1 + dir] = value;
  }
}
