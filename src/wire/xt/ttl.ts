/** The structure of xt matches `ttl` and `hl` revision 0 (linux/netfilter: ipt_ttl.h, ip6t_hl.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type Ttl = {
  mode: number;
  ttl: number;
};

export const ttl: Codec<Ttl> = struct<Ttl>({
  mode: u8,
  ttl: u8,
});
