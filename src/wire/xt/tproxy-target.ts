/** The structure of xt target `TPROXY` revision 1 (linux/netfilter: xt_TPROXY.h). */
import { address, be16, type Codec, struct, u32 } from './struct.ts';

export type TproxyTarget = {
  markMask: number;
  markValue: number;
  address: Uint8Array;
  port: number;
};

export const tproxyTarget: Codec<TproxyTarget> = struct<TproxyTarget>({
  markMask: u32,
  markValue: u32,
  address: address,
  port: be16,
});
