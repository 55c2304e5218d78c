/** The structure of xt target `RATEEST` revision 0 (linux/netfilter: xt_RATEEST.h). */
import { type Codec, pointer, struct, text, u8 } from './struct.ts';

export type RateestTarget = {
  name: string;
  /** Signed: the interval is 2^interval seconds. */
  interval: number;
  ewmaLog: number;
  estimator: bigint;
};

export const rateestTarget: Codec<RateestTarget> = struct<RateestTarget>({
  name: text(16),
  interval: u8,
  ewmaLog: u8,
  estimator: pointer,
});
