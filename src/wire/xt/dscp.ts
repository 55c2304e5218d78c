/** The structure of xt match `dscp` revision 0 (linux/netfilter: xt_dscp.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type Dscp = {
  dscp: number;
  invert: number;
};

export const dscp: Codec<Dscp> = struct<Dscp>({
  dscp: u8,
  invert: u8,
});
