/** The structure of xt match `rpfilter` revision 0 (linux/netfilter: xt_rpfilter.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type Rpfilter = {
  flags: number;
};

export const rpfilter: Codec<Rpfilter> = struct<Rpfilter>({
  flags: u8,
});
