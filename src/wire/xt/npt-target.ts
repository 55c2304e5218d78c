/** The structure of xt targets `SNPT` and `DNPT` revision 0 (linux/netfilter: ip6t_NPT.h). */
import { address, type Codec, struct, u8, u16 } from './struct.ts';

export type NptTarget = {
  src: Uint8Array;
  dst: Uint8Array;
  srcLength: number;
  dstLength: number;
  adjustment: number;
};

export const nptTarget: Codec<NptTarget> = struct<NptTarget>({
  src: address,
  dst: address,
  srcLength: u8,
  dstLength: u8,
  adjustment: u16,
});
