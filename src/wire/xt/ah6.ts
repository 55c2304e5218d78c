/** The structure of xt match `ah` revision 0 of IPv6 (linux/netfilter: ip6t_ah.h). */
import { array, type Codec, struct, u8, u32 } from './struct.ts';

export type Ah6 = {
  spis: number[];
  headerLength: number;
  reserved: number;
  invert: number;
};

export const ah6: Codec<Ah6> = struct<Ah6>({
  spis: array(u32, 2),
  headerLength: u32,
  reserved: u8,
  invert: u8,
});
