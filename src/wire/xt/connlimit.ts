/** The structure of xt match `connlimit` revision 1 (linux/netfilter: xt_connlimit.h). */
import { address, type Codec, pointer, struct, u32 } from './struct.ts';

export type Connlimit = {
  mask: Uint8Array;
  limit: number;
  flags: number;
  data: bigint;
};

export const connlimit: Codec<Connlimit> = struct<Connlimit>({
  mask: address,
  limit: u32,
  flags: u32,
  data: pointer,
});
