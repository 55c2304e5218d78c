/** Kinds of register contents, their flags, and the limits of numbers. */

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

export const baseType = (type: number): number => type & BASE;
export const mayBeNull = (type: number): boolean => (type & PTR_MAYBE_NULL) !== 0;
export const isPacketPointer = (type: number): boolean => type === PTR_TO_PACKET || type === PTR_TO_PACKET_META;
