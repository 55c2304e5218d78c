/** The structure of xt match `pkttype` revision 0 (linux/netfilter: xt_pkttype.h). */
import { type Codec, struct, u32 } from './struct.ts';

export type Pkttype = {
  type: number;
  invert: number;
};

export const pkttype: Codec<Pkttype> = struct<Pkttype>({
  type: u32,
  invert: u32,
});
