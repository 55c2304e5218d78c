/** The structure of xt match `limit` revision 0 (linux/netfilter: xt_limit.h). */
import { type Codec, pointer, struct, u32, u64 } from './struct.ts';

export type Limit = {
  avg: number;
  burst: number;
  prev: bigint;
  credit: number;
  creditCap: number;
  cost: number;
  master: bigint;
};

export const limit: Codec<Limit> = struct<Limit>({
  avg: u32,
  burst: u32,
  prev: u64,
  credit: u32,
  creditCap: u32,
  cost: u32,
  master: pointer,
});
