/** The structure of xt target `REJECT` revision 0 (linux/netfilter: ipt_REJECT.h, ip6t_REJECT.h). */
import { type Codec, struct, u32 } from './struct.ts';

export type RejectTarget = {
  with: number;
};

export const rejectTarget: Codec<RejectTarget> = struct<RejectTarget>({
  with: u32,
});
