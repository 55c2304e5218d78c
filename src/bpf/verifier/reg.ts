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

/**
 * One register. For a scalar the tnum and the bounds describe the value; for a pointer they describe its variable offset,
 * and `off` is the fixed offset beside it.
 */
export class Reg {
  /** Kind and flags. */
  type: number = NOT_INIT;
  /** Fixed offset of a pointer, signed 32 bits; the distance of a linked scalar. */
  off = 0;
  /** tnum: bits known to be one, and bits not known. */
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
  /** Equal ids: the same value (scalars), or the same origin (pointers); 0 for none. */
  id = 0;
  /** The acquired reference this came from; 0 for none. */
  refId = 0;
  /** The exact value matters for safety: pruning must compare it. */
  precise = false;
  /** Packet pointers: bytes behind the pointer known to be there. */
  range = 0;
  /** PTR_TO_MEM and PTR_TO_BUF: bytes there. */
  memSize = 0;
  /** Map pointers and values. */
  map: MapInfo | undefined = undefined;
  /** Inner maps: differs for values of different lookups of one outer map. */
  mapUid = 0;
  /** PTR_TO_STACK: number of the frame pointed into; callbacks: depth of inlined calls. */
  frame = 0;
  /** PTR_TO_FUNC: the subprogram. */
  subprog = -1;
  /** PTR_TO_BTF_ID: name of the kernel struct. */
  btfName = '';
  /** Dynptr slots and CONST_PTR_TO_DYNPTR: 'local', 'ringbuf', 'skb', 'xdp', 'skb_meta'; '' for none. */
  dynptrKind = '';
  dynptrFirst = false;
  dynptrId = 0;
  /** Iterator slots. */
  iterKind = '';
  iterActive = false;
  iterDepth = 0;

  /** Copies everything from `from`. */
  copy(from: Reg): void {
    this.type = from.type;
    this.off = from.off;
    this.value = from.value;
    this.mask = from.mask;
    this.umin = from.umin;
    this.umax = from.umax;
    this.smin = from.smin;
    this.smax = from.smax;
    this.u32min = from.u32min;
    this.u32max = from.u32max;
    this.s32min = from.s32min;
    this.s32max = from.s32max;
    this.id = from.id;
    this.refId = from.refId;
    this.precise = from.precise;
    this.range = from.range;
    this.memSize = from.memSize;
    this.map = from.map;
    this.mapUid = from.mapUid;
    this.frame = from.frame;
    this.subprog = from.subprog;
    this.btfName = from.btfName;
    this.dynptrKind = from.dynptrKind;
    this.dynptrFirst = from.dynptrFirst;
    this.dynptrId = from.dynptrId;
    this.iterKind = from.iterKind;
    this.iterActive = from.iterActive;
    this.iterDepth = from.iterDepth;
  }

  clone(): Reg {
    const r = new Reg();
    r.copy(this);
    return r;
  }

  /** Forgets everything but the bounds and tnum. */
  clearPointer(): void {
    this.off = 0;
    this.id = 0;
    this.refId = 0;
    this.range = 0;
    this.memSize = 0;
    this.map = undefined;
    this.mapUid = 0;
    this.frame = 0;
    this.subprog = -1;
    this.btfName = '';
    this.dynptrKind = '';
    this.dynptrFirst = false;
    this.dynptrId = 0;
    this.iterKind = '';
    this.iterActive = false;
    this.iterDepth = 0;
  }
}

export const baseType = (type: number): number => type & BASE;
export const isConst = (reg: Reg): boolean => reg.type === SCALAR_VALUE && reg.mask === 0n;
export const mayBeNull = (type: number): boolean => (type & PTR_MAYBE_NULL) !== 0;
export const isPacketPointer = (type: number): boolean => type === PTR_TO_PACKET || type === PTR_TO_PACKET_META;
