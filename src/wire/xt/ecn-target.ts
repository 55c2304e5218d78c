/** The structure of xt target `ECN` revision 0 (linux/netfilter: ipt_ECN.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type EcnTarget = {
  operation: number;
  ipEct: number;
  tcp: number;
};

export const ecnTarget: Codec<EcnTarget> = struct<EcnTarget>({
  operation: u8,
  ipEct: u8,
  tcp: u8,
});
