/** The structure of xt match `udp` revision 0 (linux/netfilter: xt_tcpudp.h). */
import { array, type Codec, struct, u8, u16 } from './struct.ts';

export type Udp = {
  spts: number[];
  dpts: number[];
  invert: number;
};

export const udp: Codec<Udp> = struct<Udp>({
  spts: array(u16, 2),
  dpts: array(u16, 2),
  invert: u8,
});
