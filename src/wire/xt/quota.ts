/** The structure of xt match `quota` revision 0 (linux/netfilter: xt_quota.h). */
import { type Codec, pointer, struct, u32, u64 } from './struct.ts';

export type Quota = {
  flags: number;
  pad: number;
  quota: bigint;
  master: bigint;
};

export const quota: Codec<Quota> = struct<Quota>({
  flags: u32,
  pad: u32,
  quota: u64,
  master: pointer,
});
