/** The structure of xt target `DSCP` revision 0 (linux/netfilter: xt_DSCP.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type DscpTarget = {
  dscp: number;
};

export const dscpTarget: Codec<DscpTarget> = struct<DscpTarget>({
  dscp: u8,
});
