/** The structure of xt target `NFLOG` revision 0 (linux/netfilter: xt_NFLOG.h). */
import { type Codec, struct, text, u16, u32 } from './struct.ts';

export type NflogTarget = {
  len: number;
  group: number;
  threshold: number;
  flags: number;
  pad: number;
  prefix: string;
};

export const nflogTarget: Codec<NflogTarget> = struct<NflogTarget>({
  len: u32,
  group: u16,
  threshold: u16,
  flags: u16,
  pad: u16,
  prefix: text(64),
});
