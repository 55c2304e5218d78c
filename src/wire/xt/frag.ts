/** The structure of xt match `frag` revision 0 (IPv6) (linux/netfilter: ip6t_frag.h). */
import { array, type Codec, struct, u8, u32 } from './struct.ts';

export type Frag = {
  ids: number[];
  headerLength: number;
  flags: number;
  invert: number;
};

export const frag: Codec<Frag> = struct<Frag>({
  ids: array(u32, 2),
  headerLength: u32,
  flags: u8,
  invert: u8,
});
