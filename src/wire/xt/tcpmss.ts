/** The structure of xt match `tcpmss` revision 0 (linux/netfilter: xt_tcpmss.h). */
import { type Codec, struct, u8, u16 } from './struct.ts';

export type Tcpmss = {
  min: number;
  max: number;
  invert: number;
};

export const tcpmss: Codec<Tcpmss> = struct<Tcpmss>({
  min: u16,
  max: u16,
  invert: u8,
});
