/** The structure of xt match `ecn` revision 0 (linux/netfilter: xt_ecn.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type Ecn = {
  operation: number;
  invert: number;
  ipEct: number;
  tcpEct: number;
};

export const ecn: Codec<Ecn> = struct<Ecn>({
  operation: u8,
  invert: u8,
  ipEct: u8,
  tcpEct: u8,
});
