/** The structure of xt match `rateest` revision 0 (linux/netfilter: xt_rateest.h). */
import { type Codec, pointer, struct, text, u16, u32 } from './struct.ts';

export type Rateest = {
  name1: string;
  name2: string;
  flags: number;
  mode: number;
  bps1: number;
  pps1: number;
  bps2: number;
  pps2: number;
  est1: bigint;
  est2: bigint;
};

export const rateest: Codec<Rateest> = struct<Rateest>({
  name1: text(16),
  name2: text(16),
  flags: u16,
  mode: u16,
  bps1: u32,
  pps1: u32,
  bps2: u32,
  pps2: u32,
  est1: pointer,
  est2: pointer,
});

export const RATEEST_INVERT = 1;
export const RATEEST_ABS = 2;
export const RATEEST_REL = 4;
export const RATEEST_DELTA = 8;
export const RATEEST_BPS = 16;
export const RATEEST_PPS = 32;
export const RATEEST_EQ = 1;
export const RATEEST_LT = 2;
export const RATEEST_GT = 3;
