/** The structure of xt match `ipcomp` revision 0 (linux/netfilter: xt_ipcomp.h). */
import { array, type Codec, struct, u8, u32 } from './struct.ts';

export type Ipcomp = {
  spis: number[];
  invert: number;
  reserved: number;
};

export const ipcomp: Codec<Ipcomp> = struct<Ipcomp>({
  spis: array(u32, 2),
  invert: u8,
  reserved: u8,
});
