/** The structure of xt match `devgroup` revision 0 (linux/netfilter: xt_devgroup.h). */
import { type Codec, struct, u32 } from './struct.ts';

export type Devgroup = {
  flags: number;
  srcGroup: number;
  srcMask: number;
  dstGroup: number;
  dstMask: number;
};

export const devgroup: Codec<Devgroup> = struct<Devgroup>({
  flags: u32,
  srcGroup: u32,
  srcMask: u32,
  dstGroup: u32,
  dstMask: u32,
});
