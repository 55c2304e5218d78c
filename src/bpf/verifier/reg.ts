/**
 * What the verifier knows about one register or spilled stack slot at one point of a program
 * (Documentation/bpf/verifier.rst, "Register value tracking").
 */
import type { MapInfo } from '../program.ts';

import { type Contents, NOTHING, type Pointee, UNINIT, UNKNOWN } from './contents.ts';
import { SCALAR_VALUE } from './reg-types.ts';

export * from './reg-types.ts';

/**
 * One register or stack slot. For a scalar the tnum and the bounds describe the value; for a pointer they describe its
 * variable offset, and `off` is the fixed offset beside it.
 */
export class Reg {
  #c: Contents;
  /** The exact value matters for safety: pruning must compare it. Each copy's own. */
  precise = false;

  constructor(c: Contents = UNINIT) {
    this.#c = c;
  }

  /** The contents, to be changed. */
  #own(): Contents {
    if (this.#c.shared) this.#c = this.#c.own();
    return this.#c;
  }

  #point(change: Partial<Pointee>): void {
    this.#own().pointee = { ...this.#c.pointee, ...change };
  }

  /** Copies everything from `from`. */
  copy(from: Reg): void {
    this.#c = from.#c.share();
    this.precise = from.precise;
  }

  clone(): Reg {
    const r = new Reg(this.#c.share());
    r.precise = this.precise;
    return r;
  }

  /** Certainly equal but for precision; two registers of equal contents need not share them. */
  shares(other: Reg): boolean {
    return this.#c === other.#c;
  }

  /** Holds nothing that may be read. */
  reset(): void {
    this.#c = UNINIT;
    this.precise = false;
  }

  /** A scalar of which nothing is known. */
  forget(): void {
    this.#c = UNKNOWN;
    this.precise = false;
  }

  /** Nothing has been learned since `forget`. */
  get isForgotten(): boolean {
    return this.#c === UNKNOWN;
  }

  /** Tnum and bounds are this value: as an unsigned and as a signed number, and its low word. */
  setConst(unsigned: bigint, signed: bigint, low: number): void {
    const c = this.#own();
    c.value = unsigned;
    c.mask = 0n;
    c.umin = c.umax = unsigned;
    c.smin = c.smax = signed;
    c.u32min = c.u32max = low;
    c.s32min = c.s32max = low | 0;
  }

  /** Tnum and bounds, which are the same in all views. */
  setSmall(value: bigint, mask: bigint, min: bigint, max: bigint, low: number, high: number): void {
    const c = this.#own();
    c.value = value;
    c.mask = mask;
    c.umin = c.smin = min;
    c.umax = c.smax = max;
    c.u32min = c.s32min = low;
    c.u32max = c.s32max = high;
  }

  /** Forgets everything but the bounds and tnum. */
  clearPointer(): void {
    const { off, id, refId, range, pointee } = this.#c;
    if (off === 0 && id === 0 && refId === 0 && range === 0 && pointee === NOTHING) return;
    const c = this.#own();
    c.off = 0;
    c.id = 0;
    c.refId = 0;
    c.range = 0;
    c.pointee = NOTHING;
  }

  /** What else is known of pointers and objects is the same. */
  samePointee(other: Reg): boolean {
    const a = this.#c.pointee;
    const b = other.#c.pointee;
    return (
      a === b ||
      (a.memSize === b.memSize &&
        a.map === b.map &&
        a.mapUid === b.mapUid &&
        a.frame === b.frame &&
        a.subprog === b.subprog &&
        a.btfName === b.btfName &&
        a.dynptrKind === b.dynptrKind &&
        a.dynptrFirst === b.dynptrFirst &&
        a.dynptrId === b.dynptrId)
    );
  }

  /** Kind and flags. */
  get type(): number {
    return this.#c.type;
  }
  set type(x: number) {
    this.#own().type = x;
  }
  /** Fixed offset of a pointer, signed 32 bits; the distance of a linked scalar. */
  get off(): number {
    return this.#c.off;
  }
  set off(x: number) {
    this.#own().off = x;
  }
  /** tnum: bits known to be one, and (`mask`) bits not known. */
  get value(): bigint {
    return this.#c.value;
  }
  set value(x: bigint) {
    this.#own().value = x;
  }
  get mask(): bigint {
    return this.#c.mask;
  }
  set mask(x: bigint) {
    this.#own().mask = x;
  }
  get umin(): bigint {
    return this.#c.umin;
  }
  set umin(x: bigint) {
    this.#own().umin = x;
  }
  get umax(): bigint {
    return this.#c.umax;
  }
  set umax(x: bigint) {
    this.#own().umax = x;
  }
  get smin(): bigint {
    return this.#c.smin;
  }
  set smin(x: bigint) {
    this.#own().smin = x;
  }
  get smax(): bigint {
    return this.#c.smax;
  }
  set smax(x: bigint) {
    this.#own().smax = x;
  }
  get u32min(): number {
    return this.#c.u32min;
  }
  set u32min(x: number) {
    this.#own().u32min = x;
  }
  get u32max(): number {
    return this.#c.u32max;
  }
  set u32max(x: number) {
    this.#own().u32max = x;
  }
  get s32min(): number {
    return this.#c.s32min;
  }
  set s32min(x: number) {
    this.#own().s32min = x;
  }
  get s32max(): number {
    return this.#c.s32max;
  }
  set s32max(x: number) {
    this.#own().s32max = x;
  }
  /** Equal ids: the same value (scalars), or the same origin (pointers); 0 for none. */
  get id(): number {
    return this.#c.id;
  }
  set id(x: number) {
    this.#own().id = x;
  }
  /** The acquired reference this came from; 0 for none. */
  get refId(): number {
    return this.#c.refId;
  }
  set refId(x: number) {
    this.#own().refId = x;
  }
  /** Packet pointers: bytes behind the pointer known to be there. */
  get range(): number {
    return this.#c.range;
  }
  set range(x: number) {
    this.#own().range = x;
  }

  get memSize(): number {
    return this.#c.pointee.memSize;
  }
  set memSize(x: number) {
    this.#point({ memSize: x });
  }
  get map(): MapInfo | undefined {
    return this.#c.pointee.map;
  }
  set map(x: MapInfo | undefined) {
    this.#point({ map: x });
  }
  get mapUid(): number {
    return this.#c.pointee.mapUid;
  }
  set mapUid(x: number) {
    this.#point({ mapUid: x });
  }
  get frame(): number {
    return this.#c.pointee.frame;
  }
  set frame(x: number) {
    this.#point({ frame: x });
  }
  get subprog(): number {
    return this.#c.pointee.subprog;
  }
  set subprog(x: number) {
    this.#point({ subprog: x });
  }
  get btfName(): string {
    return this.#c.pointee.btfName;
  }
  set btfName(x: string) {
    this.#point({ btfName: x });
  }
  get dynptrKind(): string {
    return this.#c.pointee.dynptrKind;
  }
  set dynptrKind(x: string) {
    this.#point({ dynptrKind: x });
  }
  get dynptrFirst(): boolean {
    return this.#c.pointee.dynptrFirst;
  }
  set dynptrFirst(x: boolean) {
    this.#point({ dynptrFirst: x });
  }
  get dynptrId(): number {
    return this.#c.pointee.dynptrId;
  }
  set dynptrId(x: number) {
    this.#point({ dynptrId: x });
  }
  get iterKind(): string {
    return this.#c.pointee.iterKind;
  }
  set iterKind(x: string) {
    this.#point({ iterKind: x });
  }
  get iterActive(): boolean {
    return this.#c.pointee.iterActive;
  }
  set iterActive(x: boolean) {
    this.#point({ iterActive: x });
  }
  get iterDepth(): number {
    return this.#c.pointee.iterDepth;
  }
  set iterDepth(x: number) {
    this.#point({ iterDepth: x });
  }
}

export const isConst = (reg: Reg): boolean => reg.type === SCALAR_VALUE && reg.mask === 0n;
