/** The structure of xt matches `hbh` and `dst` revision 0 (IPv6) (linux/netfilter: ip6t_opts.h). */
import { array, type Codec, struct, u8, u16, u32 } from './struct.ts';

export type Opts = {
  headerLength: number;
  flags: number;
  invert: number;
  opts: number[];
  count: number;
};

export const opts: Codec<Opts> = struct<Opts>({
  headerLength: u32,
  flags: u8,
  invert: u8,
  opts: array(u16, 16),
  count: u8,
});
