/** The structure of xt target `CLASSIFY` revision 0 (linux/netfilter: xt_CLASSIFY.h). */
import { type Codec, struct, u32 } from './struct.ts';

export type ClassifyTarget = {
  priority: number;
};

export const classifyTarget: Codec<ClassifyTarget> = struct<ClassifyTarget>({
  priority: u32,
});
