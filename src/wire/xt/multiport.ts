/** The structure of xt match `multiport` revision 1 (linux/netfilter: xt_multiport.h). */
import { array, type Codec, struct, u8, u16 } from './struct.ts';

export type Multiport = {
  flags: number;
  count: number;
  ports: number[];
  pflags: number[];
  invert: number;
};

export const multiport: Codec<Multiport> = struct<Multiport>({
  flags: u8,
  count: u8,
  ports: array(u16, 15),
  pflags: array(u8, 15),
  invert: u8,
});
