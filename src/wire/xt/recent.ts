/** The structure of xt match `recent` revision 1 (linux/netfilter: xt_recent.h). */
import { address, type Codec, struct, text, u8, u32 } from './struct.ts';

export type Recent = {
  seconds: number;
  hitCount: number;
  checkSet: number;
  invert: number;
  name: string;
  side: number;
  mask: Uint8Array;
};

export const recent: Codec<Recent> = struct<Recent>({
  seconds: u32,
  hitCount: u32,
  checkSet: u8,
  invert: u8,
  name: text(200),
  side: u8,
  mask: address,
});
