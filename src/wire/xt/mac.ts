/** The structure of xt match `mac` revision 0 (linux/netfilter: xt_mac.h). */
import { bytes, type Codec, struct, u32 } from './struct.ts';

export type Mac = {
  address: Uint8Array;
  invert: number;
};

export const mac: Codec<Mac> = struct<Mac>({
  address: bytes(6),
  invert: u32,
});
