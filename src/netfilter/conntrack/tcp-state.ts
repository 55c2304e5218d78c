/** TCP's part of a connection's record (`struct ip_ct_tcp`): window tracking of both sides, and what was last seen. */
import type { Words } from './tuple.ts';

/** One side of a TCP connection (`struct ip_ct_tcp_state`): window tracking. */
export type TcpSide = {
  end: number;
  maxend: number;
  maxwin: number;
  maxack: number;
  scale: number;
  /** IP_CT_TCP_FLAG_* */
  flags: number;
};

/** No segment seen yet: what `lastIndex` is at first. */
const NONE = 5;
const SIDE_WORDS = 5;

class SideView implements TcpSide {
  readonly #words: Words;
  readonly #at: number;

  constructor(words: Words, at: number) {
    this.#words = words;
    this.#at = at;
  }
  get end(): number {
    return this.#words[this.#at];
  }
  set end(value: number) {
    this.#words[this.#at] = value;
  }
  get maxend(): number {
    return this.#words[this.#at + 1];
  }
  set maxend(value: number) {
    this.#words[this.#at + 1] = value;
  }
  get maxwin(): number {
    return this.#words[this.#at + 2];
  }
  set maxwin(value: number) {
    this.#words[this.#at + 2] = value;
  }
  get maxack(): number {
    return this.#words[this.#at + 3];
  }
  set maxack(value: number) {
    this.#words[this.#at + 3] = value;
  }
  get scale(): number {
    return this.#words[this.#at + 4] & 0xff;
  }
  set scale(value: number) {
    this.#words[this.#at + 4] = (this.#words[this.#at + 4] & ~0xff) | value;
  }
  get flags(): number {
    return this.#words[this.#at + 4] >>> 8;
  }
  set flags(value: number) {
    this.#words[this.#at + 4] = (value << 8) | (this.#words[this.#at + 4] & 0xff);
  }
}

/** A view; words 0..9 the sides, 10 and 11 small fields, 12..15 the last segment. */
export class TcpState {
  /** Original and reply side. */
  readonly seen: readonly [TcpSide, TcpSide];
  readonly #words: Words;
  readonly #at: number;

  constructor(words: Words, at: number) {
    this.#words = words;
    this.#at = at;
    this.seen = [new SideView(words, at), new SideView(words, at + SIDE_WORDS)];
  }

  #byte(word: number, shift: number): number {
    return (this.#words[this.#at + word] >>> shift) & 0xff;
  }
  #setByte(word: number, shift: number, value: number): void {
    const at = this.#at + word;
    this.#words[at] = (this.#words[at] & ~(0xff << shift)) | ((value & 0xff) << shift);
  }

  /** TCP_CONNTRACK_* */
  get state(): number {
    return this.#byte(10, 0);
  }
  set state(value: number) {
    this.#setByte(10, 0, value);
  }
  get lastDir(): number {
    return this.#byte(10, 8);
  }
  set lastDir(value: number) {
    this.#setByte(10, 8, value);
  }
  /** Kind of the last segment. */
  get lastIndex(): number {
    return this.#byte(10, 16);
  }
  set lastIndex(value: number) {
    this.#setByte(10, 16, value);
  }
  /** How often it was repeated. */
  get retrans(): number {
    return this.#byte(10, 24);
  }
  set retrans(value: number) {
    this.#setByte(10, 24, value);
  }
  get lastWscale(): number {
    return this.#byte(11, 0);
  }
  set lastWscale(value: number) {
    this.#setByte(11, 0, value);
  }
  get lastFlags(): number {
    return this.#byte(11, 8);
  }
  set lastFlags(value: number) {
    this.#setByte(11, 8, value);
  }
  get lastWin(): number {
    return this.#words[this.#at + 11] >>> 16;
  }
  set lastWin(value: number) {
    const at = this.#at + 11;
    this.#words[at] = (value << 16) | (this.#words[at] & 0xffff);
  }
  get lastSeq(): number {
    return this.#words[this.#at + 12];
  }
  set lastSeq(value: number) {
    this.#words[this.#at + 12] = value;
  }
  get lastAck(): number {
    return this.#words[this.#at + 13];
  }
  set lastAck(value: number) {
    this.#words[this.#at + 13] = value;
  }
  get lastEnd(): number {
    return this.#words[this.#at + 14];
  }
  set lastEnd(value: number) {
    this.#words[this.#at + 14] = value;
  }

  reset(): void {
    this.#words.fill(0, this.#at, this.#at + 16);
    this.lastIndex = NONE;
  }
}
