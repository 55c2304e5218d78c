/** The structure of xt match `ipv6header` revision 0 (linux/netfilter: ip6t_ipv6header.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type Ipv6header = {
  match: number;
  invert: number;
  soft: number;
};

export const ipv6header: Codec<Ipv6header> = struct<Ipv6header>({
  match: u8,
  invert: u8,
  soft: u8,
});
