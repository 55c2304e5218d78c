/** The structure of xt matches `icmp` and `icmp6` revision 0 (linux/netfilter: ip_tables.h, ip6_tables.h). */
import { array, type Codec, struct, u8 } from './struct.ts';

export type Icmp = {
  type: number;
  code: number[];
  invert: number;
};

export const icmp: Codec<Icmp> = struct<Icmp>({
  type: u8,
  code: array(u8, 2),
  invert: u8,
});
