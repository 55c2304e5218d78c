/** The structure of xt match `cpu` revision 0 (linux/netfilter: xt_cpu.h). */
import { type Codec, struct, u32 } from './struct.ts';

export type Cpu = {
  cpu: number;
  invert: number;
};

export const cpu: Codec<Cpu> = struct<Cpu>({
  cpu: u32,
  invert: u32,
});
