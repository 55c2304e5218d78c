/** The structure of xt match `hashlimit` revision 3 (linux/netfilter: xt_hashlimit.h). */
import { type Codec, pointer, struct, text, u8, u32, u64 } from './struct.ts';

export type Hashlimit = {
  name: string;
  avg: bigint;
  burst: bigint;
  mode: number;
  size: number;
  max: number;
  gcInterval: number;
  expire: number;
  interval: number;
  srcMask: number;
  dstMask: number;
  hinfo: bigint;
};

export const hashlimit: Codec<Hashlimit> = struct<Hashlimit>({
  name: text(255),
  avg: u64,
  burst: u64,
  mode: u32,
  size: u32,
  max: u32,
  gcInterval: u32,
  expire: u32,
  interval: u32,
  srcMask: u8,
  dstMask: u8,
  hinfo: pointer,
});
