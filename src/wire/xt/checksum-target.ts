/** The structure of xt target `CHECKSUM` revision 0 (linux/netfilter: xt_CHECKSUM.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type ChecksumTarget = {
  operation: number;
};

export const checksumTarget: Codec<ChecksumTarget> = struct<ChecksumTarget>({
  operation: u8,
});
