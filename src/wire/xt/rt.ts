/** The structure of xt match `rt` revision 0 (IPv6) (linux/netfilter: ip6t_rt.h). */
import { address, array, type Codec, struct, u8, u32 } from './struct.ts';

export type Rt = {
  type: number;
  segsLeft: number[];
  headerLength: number;
  flags: number;
  invert: number;
  addrs: Uint8Array[];
  count: number;
};

export const rt: Codec<Rt> = struct<Rt>({
  type: u32,
  segsLeft: array(u32, 2),
  headerLength: u32,
  flags: u8,
  invert: u8,
  addrs: array(address, 16),
  count: u8,
});
