/** The structure of xt match `mh` revision 0 (IPv6) (linux/netfilter: ip6t_mh.h). */
import { array, type Codec, struct, u8 } from './struct.ts';

export type Mh = {
  types: number[];
  invert: number;
};

export const mh: Codec<Mh> = struct<Mh>({
  types: array(u8, 2),
  invert: u8,
});
