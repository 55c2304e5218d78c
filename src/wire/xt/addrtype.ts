/** The structure of xt match `addrtype` revision 1 (linux/netfilter: xt_addrtype.h). */
import { type Codec, struct, u16, u32 } from './struct.ts';

export type Addrtype = {
  source: number;
  dest: number;
  flags: number;
};

export const addrtype: Codec<Addrtype> = struct<Addrtype>({
  source: u16,
  dest: u16,
  flags: u32,
});
