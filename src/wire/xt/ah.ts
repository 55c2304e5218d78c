/** The structure of xt match `ah` revision 0 of IPv4 (linux/netfilter: ipt_ah.h). */
import { array, type Codec, struct, u8, u32 } from './struct.ts';

export type Ah = {
  spis: number[];
  invert: number;
};

export const ah: Codec<Ah> = struct<Ah>({
  spis: array(u32, 2),
  invert: u8,
});
