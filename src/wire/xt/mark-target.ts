/** The structure of xt target `MARK` revision 2 (linux/netfilter: xt_mark.h). */
import { type Codec, struct, u32 } from './struct.ts';

export type MarkTarget = {
  mark: number;
  mask: number;
};

export const markTarget: Codec<MarkTarget> = struct<MarkTarget>({
  mark: u32,
  mask: u32,
});
