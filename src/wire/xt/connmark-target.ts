/** The structure of xt target `CONNMARK` revision 2 (linux/netfilter: xt_connmark.h). */
import { type Codec, struct, u8, u32 } from './struct.ts';

export type ConnmarkTarget = {
  ctmark: number;
  ctmask: number;
  nfmask: number;
  shiftDir: number;
  shiftBits: number;
  mode: number;
};

export const connmarkTarget: Codec<ConnmarkTarget> = struct<ConnmarkTarget>({
  ctmark: u32,
  ctmask: u32,
  nfmask: u32,
  shiftDir: u8,
  shiftBits: u8,
  mode: u8,
});
