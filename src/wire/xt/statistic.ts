/** The structure of xt match `statistic` revision 0 (linux/netfilter: xt_statistic.h). */
import { type Codec, pointer, struct, u16, u32 } from './struct.ts';

export type Statistic = {
  mode: number;
  flags: number;
  every: number;
  packet: number;
  count: number;
  master: bigint;
};

export const statistic: Codec<Statistic> = struct<Statistic>({
  mode: u16,
  flags: u16,
  every: u32,
  packet: u32,
  count: u32,
  master: pointer,
});
