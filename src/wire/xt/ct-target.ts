/** The structure of xt target `CT` revisions 1 and 2 (linux/netfilter: xt_CT.h). */
import { type Codec, pointer, struct, text, u16, u32 } from './struct.ts';

export type CtTarget = {
  flags: number;
  zone: number;
  ctEvents: number;
  expEvents: number;
  helper: string;
  timeout: string;
  ct: bigint;
};

export const ctTarget: Codec<CtTarget> = struct<CtTarget>({
  flags: u16,
  zone: u16,
  ctEvents: u32,
  expEvents: u32,
  helper: text(16),
  timeout: text(32),
  ct: pointer,
});
