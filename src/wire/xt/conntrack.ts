/** The structure of xt match `conntrack` revision 3 (linux/netfilter: xt_conntrack.h). */
import { address, type Codec, struct, u16, u32 } from './struct.ts';

export type Conntrack = {
  origSrc: Uint8Array;
  origSrcMask: Uint8Array;
  origDst: Uint8Array;
  origDstMask: Uint8Array;
  replSrc: Uint8Array;
  replSrcMask: Uint8Array;
  replDst: Uint8Array;
  replDstMask: Uint8Array;
  expiresMin: number;
  expiresMax: number;
  l4proto: number;
  origSrcPort: number;
  origDstPort: number;
  replSrcPort: number;
  replDstPort: number;
  matchFlags: number;
  invertFlags: number;
  stateMask: number;
  statusMask: number;
  origSrcPortHigh: number;
  origDstPortHigh: number;
  replSrcPortHigh: number;
  replDstPortHigh: number;
};

export const conntrack: Codec<Conntrack> = struct<Conntrack>({
  origSrc: address,
  origSrcMask: address,
  origDst: address,
  origDstMask: address,
  replSrc: address,
  replSrcMask: address,
  replDst: address,
  replDstMask: address,
  expiresMin: u32,
  expiresMax: u32,
  l4proto: u16,
  origSrcPort: u16,
  origDstPort: u16,
  replSrcPort: u16,
  replDstPort: u16,
  matchFlags: u16,
  invertFlags: u16,
  stateMask: u16,
  statusMask: u16,
  origSrcPortHigh: u16,
  origDstPortHigh: u16,
  replSrcPortHigh: u16,
  replDstPortHigh: u16,
});
