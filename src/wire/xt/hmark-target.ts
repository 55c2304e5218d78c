/** The structure of xt target `HMARK` revision 0 (linux/netfilter: xt_HMARK.h). */
import { address, type Codec, struct, u16, u32 } from './struct.ts';

export type HmarkTarget = {
  srcMask: Uint8Array;
  dstMask: Uint8Array;
  /** Two unions: source and destination port, or one 32-bit SPI. */
  sportMask: number;
  dportMask: number;
  sport: number;
  dport: number;
  flags: number;
  protoMask: number;
  seed: number;
  modulus: number;
  offset: number;
};

export const hmarkTarget: Codec<HmarkTarget> = struct<HmarkTarget>({
  srcMask: address,
  dstMask: address,
  sportMask: u16,
  dportMask: u16,
  sport: u16,
  dport: u16,
  flags: u32,
  protoMask: u16,
  seed: u32,
  modulus: u32,
  offset: u32,
});

export const HMARK_SRC: number = 1 << 0;
export const HMARK_DST: number = 1 << 1;
export const HMARK_SPI: number = 1 << 2;
export const HMARK_SPI_MASK: number = 1 << 3;
export const HMARK_SPORT: number = 1 << 4;
export const HMARK_DPORT: number = 1 << 5;
export const HMARK_SPORT_MASK: number = 1 << 6;
export const HMARK_DPORT_MASK: number = 1 << 7;
export const HMARK_PROTO_MASK: number = 1 << 8;
export const HMARK_RND: number = 1 << 9;
export const HMARK_MODULUS: number = 1 << 10;
export const HMARK_OFFSET: number = 1 << 11;
export const HMARK_CT: number = 1 << 12;
