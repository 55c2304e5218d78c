/** The structure of xt target `CLUSTERIP` revision 0 (linux/netfilter_ipv4: ipt_CLUSTERIP.h). */
import { array, bytes, type Codec, pointer, struct, u16, u32 } from './struct.ts';

export type ClusteripTarget = {
  flags: number;
  mac: Uint8Array;
  totalNodes: number;
  localCount: number;
  localNodes: number[];
  hashMode: number;
  hashInit: number;
  config: bigint;
};

export const clusteripTarget: Codec<ClusteripTarget> = struct<ClusteripTarget>({
  flags: u32,
  mac: bytes(6),
  totalNodes: u16,
  localCount: u16,
  localNodes: array(u16, 16),
  hashMode: u32,
  hashInit: u32,
  config: pointer,
});
