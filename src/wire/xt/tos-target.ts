/** The structure of xt target `TOS` revision 1 (linux/netfilter: xt_DSCP.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type TosTarget = {
  value: number;
  mask: number;
};

export const tosTarget: Codec<TosTarget> = struct<TosTarget>({
  value: u8,
  mask: u8,
});
