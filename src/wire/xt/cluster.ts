/** The structure of xt match `cluster` revision 0 (linux/netfilter: xt_cluster.h). */
import { type Codec, struct, u32 } from './struct.ts';

export type Cluster = {
  totalNodes: number;
  nodeMask: number;
  hashSeed: number;
  flags: number;
};

export const cluster: Codec<Cluster> = struct<Cluster>({
  totalNodes: u32,
  nodeMask: u32,
  hashSeed: u32,
  flags: u32,
});
