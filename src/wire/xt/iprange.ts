/** The structure of xt match `iprange` revision 1 (linux/netfilter: xt_iprange.h). */
import { address, type Codec, struct, u8 } from './struct.ts';

export type Iprange = {
  srcMin: Uint8Array;
  srcMax: Uint8Array;
  dstMin: Uint8Array;
  dstMax: Uint8Array;
  flags: number;
};

export const iprange: Codec<Iprange> = struct<Iprange>({
  srcMin: address,
  srcMax: address,
  dstMin: address,
  dstMax: address,
  flags: u8,
});
