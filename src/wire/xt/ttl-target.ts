/** The structure of xt targets `TTL` and `HL` revision 0 (linux/netfilter: ipt_TTL.h, ip6t_HL.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type TtlTarget = {
  mode: number;
  ttl: number;
};

export const ttlTarget: Codec<TtlTarget> = struct<TtlTarget>({
  mode: u8,
  ttl: u8,
});
