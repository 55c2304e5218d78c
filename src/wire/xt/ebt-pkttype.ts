/** The structure of ebtables match `pkttype` revision 0 (linux/netfilter_bridge: ebt_pkttype.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type EbtPkttype = {
  type: number;
  invert: number;
};

export const ebtPkttype: Codec<EbtPkttype> = struct<EbtPkttype>({
  type: u8,
  invert: u8,
});
