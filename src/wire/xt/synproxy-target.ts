/** The structure of xt target `SYNPROXY` revision 0 (linux/netfilter: xt_SYNPROXY.h). */
import { type Codec, struct, u8, u16 } from './struct.ts';

export type SynproxyTarget = { options: number; wscale: number; mss: number };

export const synproxyTarget: Codec<SynproxyTarget> = struct<SynproxyTarget>({ options: u8, wscale: u8, mss: u16 });

export const SYNPROXY_MSS = 1;
export const SYNPROXY_WSCALE = 2;
export const SYNPROXY_SACK_PERM = 4;
export const SYNPROXY_TIMESTAMP = 8;
export const SYNPROXY_ECN = 16;
