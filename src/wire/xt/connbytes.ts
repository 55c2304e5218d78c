/** The structure of xt match `connbytes` revision 0 (linux/netfilter: xt_connbytes.h). */
import { type Codec, struct, u8, u64 } from './struct.ts';

export type Connbytes = {
  from: bigint;
  to: bigint;
  what: number;
  direction: number;
};

export const connbytes: Codec<Connbytes> = struct<Connbytes>({
  from: u64,
  to: u64,
  what: u8,
  direction: u8,
});
