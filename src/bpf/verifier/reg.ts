/**
 * What the verifier knows about one register or spilled stack slot at one point of a program
 * (Documentation/bpf/verifier.rst, "Register value tracking").
 */
import type { MapInfo } from '../program.ts';

// Kinds of register contents.
export const NOT_INIT = 0;
export const SCALAR_VALUE = 1;
export const PTR_TO_CTX = 2;
export const CONST_PTR_TO_MAP = 3;
export const PTR_TO_MAP_VALUE = 4;
export const PTR_TO_MAP_KEY = 5;
export const PTR_TO_STACK = 6;
export const PTR_TO_PACKET_META = 7;
export const PTR_TO_PACKET = 8;
export const PTR_TO_PACKET_END = 9;
export const PTR_TO_FLOW_KEYS = 10;
export const PTR_TO_SOCKET = 11;
export const PTR_TO_SOCK_COMMON = 12;
export const PTR_TO_TCP_SOCK = 13;
export const PTR_TO_TP_BUFFER = 14;
export const PTR_TO_XDP_SOCK = 15;
export const PTR_TO_BTF_ID = 16;
export const PTR_TO_ARENA = 17;
export const PTR_TO_BUF = 18;
export const PTR_TO_FUNC = 19;
export const PTR_TO_MEM = 20;
export const CONST_PTR_TO_DYNPTR = 21;

/** `reg.type & BASE` is the kind, the bits above are flags. */
export const BASE = 0xff;
export const PTR_MAYBE_NULL: number = 1 << 8;
export const MEM_RDONLY: number = 1 << 9;
export const MEM_RINGBUF: number = 1 << 10;
export const MEM_UNINIT: number = 1 << 11;
export const PTR_UNTRUSTED: number = 1 << 12;
export const PTR_TRUSTED: number = 1 << 13;
export const MEM_PERCPU: number = 1 << 14;
export const MEM_RCU: number = 1 << 15;
export const MEM_ALLOC: number = 1 << 16;

export const U64_MAX = 0xffff_ffff_ffff_ffffn;
export const S64_MAX = 0x7fff_ffff_ffff_ffffn;
export const S64_MIN: bigint = -0x8000_0000_0000_0000n;
export const U32_MAX = 0xffff_ffff;
export const S32_MAX = 0x7fff_ffff;
export const S32_MIN: number = -0x8000_0000;

/**
 * `id` bits: this register differs from the others of its id by the constant `off` (linked scalars), added with a 64-bit
 * or a 32-bit operation; BPF_ADD_CONST is either.
 */
export const BPF_ADD_CONST64: number = 1 << 30;
export const BPF_ADD_CONST32: number = 1 << 29;
export const BPF_ADD_CONST: number = BPF_ADD_CONST64 | BPF_ADD_CONST32;

/** `range` of a packet pointer after a comparison that found it beyond or at the packet's end. */
export const BEYOND_PKT_END = -2;
export const AT_PKT_END = -1;

/** What a pointer or object points to or is, where its type does not say it all. Never changed, only replaced. */
type Pointee = {
  /** PTR_TO_MEM and PTR_TO_BUF: bytes there. */
  readonly memSize: number;
  /** Map pointers and values. */
  readonly map: MapInfo | undefined;
  /** Inner maps: differs for values of different lookups of one outer map. */
  readonly mapUid: number;
  /** PTR_TO_STACK: number of the frame pointed into; callbacks: depth of inlined calls. */
  readonly frame: number;
  /** PTR_TO_FUNC: the subprogram. */
  readonly subprog: number;
  /** PTR_TO_BTF_ID: name of the kernel struct. */
  readonly btfName: string;
  /** Dynptr slots and CONST_PTR_TO_DYNPTR: 'local', 'ringbuf', 'skb', 'xdp', 'skb_meta'; '' for none. */
  readonly dynptrKind: string;
  readonly dynptrFirst: boolean;
  readonly dynptrId: number;
  /** Iterator slots. */
  readonly iterKind: string;
  readonly iterActive: boolean;
  readonly iterDepth: number;
};

const NOTHING: Pointee = {
  memSize: 0,
  map: undefined,
  mapUid: 0,
  frame: 0,
  subprog: -1,
  btfName: '',
  dynptrKind: '',
  dynptrFirst: false,
  dynptrId: 0,
  iterKind: '',
  iterActive: false,
  iterDepth: 0,
};

/**
 * What registers hold. Copies of a register share their contents until one of them changes: a state is copied at every
 * branch, and most of it is never touched again.
 */
class Contents {
  shared = false;
  type: number = NOT_INIT;
  off = 0;
  value = 0n;
  mask: bigint = U64_MAX;
  umin = 0n;
  umax: bigint = U64_MAX;
  smin: bigint = S64_MIN;
  smax: bigint = S64_MAX;
  u32min = 0;
  u32max: number = U32_MAX;
  s32min: number = S32_MIN;
  s32max: number = S32_MAX;
  id = 0;
  refId = 0;
  range = 0;
  pointee: Pointee = NOTHING;

  own(): Contents {
    const c = new Contents();
    c.type = this.type;
    c.off = this.off;
    c.value = this.value;
    c.mask = this.mask;
    c.umin = this.umin;
    c.umax = this.umax;
    c.smin = this.smin;
    c.smax = this.smax;
    c.u32min = this.u32min;
    c.u32max = this.u32max;
    c.s32min = this.s32min;
    c.s32max = this.s32max;
    c.id = this.id;
    c.refId = this.refId;
    c.range = this.range;
    c.pointee = this.pointee;
    return c;
  }

  /** To be given to several registers. */
  share(): Contents {
    this.shared = true;
    return this;
  }
}

/** Not initialised, and an unknown scalar: what most registers hold most of the time. */
const UNINIT: Contents = new Contents().share();
const UNKNOWN: Contents = unknownContents();

function unknownContents(): Contents {
  const c = new Contents();
  c.type = SCALAR_VALUE;
  return c.share();
}

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

export const baseType = (type: number): number => type & BASE;
export const isConst = (reg: Reg): boolean => reg.type === SCALAR_VALUE && reg.mask === 0n;
export const mayBeNull = (type: number): boolean => (type & PTR_MAYBE_NULL) !== 0;
export const isPacketPointer = (type: number): boolean => type === PTR_TO_PACKET || type === PTR_TO_PACKET_META;
