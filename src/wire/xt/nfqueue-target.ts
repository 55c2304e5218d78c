/** The structure of xt target `NFQUEUE` revision 3 (linux/netfilter: xt_NFQUEUE.h). */
import { type Codec, struct, u16 } from './struct.ts';

export type NfqueueTarget = {
  queue: number;
  total: number;
  flags: number;
};

export const nfqueueTarget: Codec<NfqueueTarget> = struct<NfqueueTarget>({
  queue: u16,
  total: u16,
  flags: u16,
});
