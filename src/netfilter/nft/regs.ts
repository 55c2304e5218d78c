/**
 * The register file (`struct nft_regs`): a verdict and sixteen 32-bit registers, in one buffer so that keys of several
 * registers lie in one piece.
 *
 *     word:  0..3 verdict (not used here) | 4 NFT_REG_1 = NFT_REG32_00 | 8 NFT_REG_2 | 12 NFT_REG_3 | 16 NFT_REG_4 .. 19
 *
 * Numbers in registers are in host order (little-endian), what was read from packets is in network order, byte by byte.
 */
import { EINVAL, ERANGE, KernelError } from '../../core/errno.ts';
import { type Attr, getBeU32 } from '../../wire/netlink/attr.ts';
import { NFT_CONTINUE, NFT_REG_4, NFT_REG_VERDICT, NFT_REG32_00, NFT_REG32_15 } from '../../wire/uapi/nf-tables.ts';
import type { Chain } from './model.ts';

const WORDS = 20;

export class Regs {
  readonly u32: Uint32Array;
  readonly u8: Uint8Array;
  readonly dv: DataView;
  /** NF_ACCEPT, NF_DROP, ... or NFT_CONTINUE, NFT_BREAK, NFT_JUMP, NFT_GOTO, NFT_RETURN. */
  verdict: number = NFT_CONTINUE;
  /** Target of NFT_JUMP and NFT_GOTO. */
  chain: Chain | undefined = undefined;

  /** Registers of their own, or in packet memory, where compiled chains have them. */
  constructor(buffer: ArrayBufferLike = new ArrayBuffer(WORDS * 4), at = 0) {
    this.u32 = new Uint32Array(buffer, at, WORDS);
    this.u8 = new Uint8Array(buffer, at, WORDS * 4);
    this.dv = new DataView(buffer, at, WORDS * 4);
  }
}

/** Byte offset of a register by its number in messages (NFT_REG_1..4, NFT_REG32_00..15); -1 for the verdict. */
function offset(reg: number, at: number): number {
  if (reg === NFT_REG_VERDICT) return -1;
  if (reg <= NFT_REG_4) return reg * 16;
  if (reg >= NFT_REG32_00 && reg <= NFT_REG32_15) return (reg - NFT_REG32_00 + 4) * 4;
  throw new KernelError(ERANGE, undefined, at);
}

/** Register number for messages from a byte offset: the 128-bit name where there is one, as the kernel answers. */
export function regNumber(byteOffset: number): number {
  if (byteOffset < 0) return NFT_REG_VERDICT;
  return byteOffset % 16 === 0 ? byteOffset / 16 : NFT_REG32_00 + byteOffset / 4 - 4;
}

/** A register to read `length` bytes from: its byte offset. */
export function loadRegister(attr: Attr | undefined, length: number): number {
  if (attr === undefined) throw new KernelError(EINVAL);
  const at = offset(getBeU32(attr.payload), attr.offset);
  if (at < 0) throw new KernelError(EINVAL, undefined, attr.offset);
  if (length === 0) throw new KernelError(EINVAL, undefined, attr.offset);
  if (at + length > WORDS * 4) throw new KernelError(ERANGE, undefined, attr.offset);
  return at;
}

/** A register to write `length` bytes of data to: its byte offset. The verdict register is refused. */
export function storeRegister(attr: Attr | undefined, length: number): number {
  return loadRegister(attr, length);
}

/** True when the attribute names the verdict register. */
export function isVerdictRegister(attr: Attr | undefined): boolean {
  return attr !== undefined && getBeU32(attr.payload) === NFT_REG_VERDICT;
}
