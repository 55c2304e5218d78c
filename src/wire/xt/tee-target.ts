/** The structure of xt target `TEE` revision 1 (linux/netfilter: xt_TEE.h). */
import { address, type Codec, pointer, struct, text } from './struct.ts';

export type TeeTarget = {
  gateway: Uint8Array;
  oif: string;
  priv: bigint;
};

export const teeTarget: Codec<TeeTarget> = struct<TeeTarget>({
  gateway: address,
  oif: text(16),
  priv: pointer,
});
