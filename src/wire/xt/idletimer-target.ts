/** The structure of xt target `IDLETIMER` revision 1 (linux/netfilter: xt_IDLETIMER.h). */
import { type Codec, pointer, struct, text, u8, u32 } from './struct.ts';

export type IdletimerTarget = {
  timeout: number;
  label: string;
  sendNlMsg: number;
  /** 1: the timer also runs while the system sleeps. */
  alarm: number;
  timer: bigint;
};

export const idletimerTarget: Codec<IdletimerTarget> = struct<IdletimerTarget>({
  timeout: u32,
  label: text(28),
  sendNlMsg: u8,
  alarm: u8,
  timer: pointer,
});
