/**
 * One instruction of classic BPF (McCanne and Jacobson 1993; Documentation/networking/filter.rst): `struct sock_filter`.
 * The machine has an accumulator A, an index X, sixteen words of memory M, and the packet. The classes LD to ALU, the
 * sizes and the operators have the numbers of `insn.ts`; what is different is here.
 */

export type ClassicInsn = {
  /** 16 bits: class, size and mode, or operator and operand. */
  readonly code: number;
  /** Instructions to skip when a comparison holds, and when not. */
  readonly jt: number;
  readonly jf: number;
  /** Unsigned 32 bits. */
  readonly k: number;
};

// Classes that eBPF has given other meanings.
export const BPF_RET = 6;
export const BPF_MISC = 7;
// Modes of loads.
export const BPF_LEN = 0x80;
export const BPF_MSH = 0xa0;
/** Memory word k. */
export const BPF_MEM = 0x60;
// Of BPF_RET: A; of BPF_MISC: X = A, A = X.
export const BPF_A = 0x10;
export const BPF_TAX = 0x00;
export const BPF_TXA = 0x80;

export const BPF_MEMWORDS = 16;
/** Longest program. */
export const BPF_MAXINSNS = 4096;

// Loads from these places up are no packet bytes (linux/filter.h). As unsigned numbers.
/** Facts beside the packet. */
export const SKF_AD_OFF: number = 0x1_0000_0000 - 0x1000;
/** From the network header on. */
export const SKF_NET_OFF: number = 0x1_0000_0000 - 0x10_0000;
/** From the link layer header on. */
export const SKF_LL_OFF: number = 0x1_0000_0000 - 0x20_0000;

export const SKF_AD_PROTOCOL = 0;
export const SKF_AD_PKTTYPE = 4;
export const SKF_AD_IFINDEX = 8;
export const SKF_AD_NLATTR = 12;
export const SKF_AD_NLATTR_NEST = 16;
export const SKF_AD_MARK = 20;
export const SKF_AD_QUEUE = 24;
export const SKF_AD_HATYPE = 28;
export const SKF_AD_RXHASH = 32;
export const SKF_AD_CPU = 36;
export const SKF_AD_ALU_XOR_X = 40;
export const SKF_AD_VLAN_TAG = 44;
export const SKF_AD_VLAN_TAG_PRESENT = 48;
export const SKF_AD_PAY_OFFSET = 52;
export const SKF_AD_RANDOM = 56;
export const SKF_AD_VLAN_TPID = 60;

/** True for the fact numbers that exist. */
export const isAncillary = (k: number): boolean => k >= SKF_AD_OFF && k <= SKF_AD_OFF + SKF_AD_VLAN_TPID && k % 4 === 0;

/** A program from `struct sock_filter[]`: code 2 bytes, jt, jf, k 4 bytes, little endian. */
export function decodeClassic(bytes: Uint8Array): ClassicInsn[] {
  if (bytes.length % 8 !== 0) throw new RangeError(`a program's length is a multiple of 8 bytes, not ${bytes.length}`);
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const insns: ClassicInsn[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    insns.push({
      code: dv.getUint16(at, true),
      jt: dv.getUint8(at + 2),
      jf: dv.getUint8(at + 3),
      k: dv.getUint32(at + 4, true),
    });
  }
  return insns;
}

/** The `struct sock_filter[]` of a program. */
export function encodeClassic(insns: readonly ClassicInsn[]): Uint8Array {
  const bytes = new Uint8Array(insns.length * 8);
  const dv = new DataView(bytes.buffer);
  insns.forEach((insn, i) => {
    dv.setUint16(i * 8, insn.code, true);
    dv.setUint8(i * 8 + 2, insn.jt);
    dv.setUint8(i * 8 + 3, insn.jf);
    dv.setUint32(i * 8 + 4, insn.k, true);
  });
  return bytes;
}
