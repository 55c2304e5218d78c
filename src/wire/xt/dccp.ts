/** The structure of xt match `dccp` revision 0 (linux/netfilter: xt_dccp.h). */
import { array, type Codec, struct, u8, u16 } from './struct.ts';

export type Dccp = {
  dpts: number[];
  spts: number[];
  flags: number;
  invert: number;
  typeMask: number;
  option: number;
};

export const dccp: Codec<Dccp> = struct<Dccp>({
  dpts: array(u16, 2),
  spts: array(u16, 2),
  flags: u16,
  invert: u16,
  typeMask: u16,
  option: u8,
});
