/** The structure of xt match `tcp` revision 0 (linux/netfilter: xt_tcpudp.h). */
import { array, type Codec, struct, u8, u16 } from './struct.ts';

export type Tcp = {
  spts: number[];
  dpts: number[];
  option: number;
  flagMask: number;
  flagCmp: number;
  invert: number;
};

export const tcp: Codec<Tcp> = struct<Tcp>({
  spts: array(u16, 2),
  dpts: array(u16, 2),
  option: u8,
  flagMask: u8,
  flagCmp: u8,
  invert: u8,
});
