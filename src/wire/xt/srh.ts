/** The structure of xt match `srh` revision 1 (linux/netfilter_ipv6: ip6t_srh.h). */
import { address, type Codec, struct, u8, u16 } from './struct.ts';

export type Srh = {
  nextHeader: number;
  headerLength: number;
  segmentsLeft: number;
  lastEntry: number;
  tag: number;
  psid: Uint8Array;
  nsid: Uint8Array;
  lsid: Uint8Array;
  psidMask: Uint8Array;
  nsidMask: Uint8Array;
  lsidMask: Uint8Array;
  flags: number;
  invert: number;
};

export const srh: Codec<Srh> = struct<Srh>({
  nextHeader: u8,
  headerLength: u8,
  segmentsLeft: u8,
  lastEntry: u8,
  tag: u16,
  psid: address,
  nsid: address,
  lsid: address,
  psidMask: address,
  nsidMask: address,
  lsidMask: address,
  flags: u16,
  invert: u16,
});

export const SRH_NEXTHDR = 0x0001;
export const SRH_LEN_EQ = 0x0002;
export const SRH_LEN_GT = 0x0004;
export const SRH_LEN_LT = 0x0008;
export const SRH_SEGS_EQ = 0x0010;
export const SRH_SEGS_GT = 0x0020;
export const SRH_SEGS_LT = 0x0040;
export const SRH_LAST_EQ = 0x0080;
export const SRH_LAST_GT = 0x0100;
export const SRH_LAST_LT = 0x0200;
export const SRH_TAG = 0x0400;
export const SRH_PSID = 0x0800;
export const SRH_NSID = 0x1000;
export const SRH_LSID = 0x2000;
