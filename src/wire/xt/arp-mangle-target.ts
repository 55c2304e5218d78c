/** The structure of arptables target `mangle` revision 0 (linux/netfilter_arp: arpt_mangle.h). */
import { bytes, type Codec, struct, u8, u32 } from './struct.ts';

export type ArpMangle = {
  srcMac: Uint8Array;
  dstMac: Uint8Array;
  srcIp: Uint8Array;
  dstIp: Uint8Array;
  flags: number;
  /** A verdict, or 0xffffffff to go on. */
  target: number;
};

export const arpMangle: Codec<ArpMangle> = struct<ArpMangle>({
  srcMac: bytes(16),
  dstMac: bytes(16),
  srcIp: bytes(4, 4),
  dstIp: bytes(4, 4),
  flags: u8,
  target: u32,
});
