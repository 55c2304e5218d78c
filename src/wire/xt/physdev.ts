/** The structure of xt match `physdev` revision 0 (linux/netfilter: xt_physdev.h). */
import { bytes, type Codec, struct, text, u8 } from './struct.ts';

export type Physdev = {
  inDev: string;
  inMask: Uint8Array;
  outDev: string;
  outMask: Uint8Array;
  invert: number;
  bitmask: number;
};

export const physdev: Codec<Physdev> = struct<Physdev>({
  inDev: text(16),
  inMask: bytes(16),
  outDev: text(16),
  outMask: bytes(16),
  invert: u8,
  bitmask: u8,
});
