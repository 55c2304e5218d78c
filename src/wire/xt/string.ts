/** The structure of xt match `string` revision 1 (linux/netfilter: xt_string.h). */
import { bytes, type Codec, pointer, struct, text, u8, u16 } from './struct.ts';

export type StringMatch = {
  from: number;
  to: number;
  algo: string;
  pattern: Uint8Array;
  patternLength: number;
  flags: number;
  config: bigint;
};

export const stringMatch: Codec<StringMatch> = struct<StringMatch>({
  from: u16,
  to: u16,
  algo: text(16),
  pattern: bytes(128),
  patternLength: u8,
  flags: u8,
  config: pointer,
});
