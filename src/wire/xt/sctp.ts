/** The structure of xt match `sctp` revision 0 (linux/netfilter: xt_sctp.h). */
import { array, type Codec, nested, struct, u8, u16, u32 } from './struct.ts';

export type SctpFlagInfo = { type: number; flag: number; mask: number };
export type Sctp = {
  dpts: number[];
  spts: number[];
  chunkMap: number[];
  chunkMatch: number;
  flagInfo: SctpFlagInfo[];
  flagCount: number;
  flags: number;
  invert: number;
};

export const sctp: Codec<Sctp> = struct<Sctp>({
  dpts: array(u16, 2),
  spts: array(u16, 2),
  chunkMap: array(u32, 64),
  chunkMatch: u32,
  flagInfo: array(nested<SctpFlagInfo>({ type: u8, flag: u8, mask: u8 }), 4),
  flagCount: u32,
  flags: u32,
  invert: u32,
});
