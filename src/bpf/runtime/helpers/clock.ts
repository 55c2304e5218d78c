/**
 * Helpers that ask about time, chance and the processor (bpf-helpers(7): ktime_get_ns, get_prandom_u32...).
 */
import type { HelperImpl, HelperTable } from '../helper.ts';
import type { Run } from '../run.ts';

/** Ticks of `jiffies64`: 250 a second, as distributions build their kernels, from INITIAL_JIFFIES on. */
const HZ = 250;
const COARSE_NS: number = 1_000_000_000 / HZ;

const time = (offset: (run: Run) => number): HelperImpl => ({
  call: (run) => run.ret64(run.machine.env.now() + offset(run)),
  ret: 'u64',
});

const constant = (value: number): HelperImpl => ({ call: () => value, ret: 'u32' });

export const clockHelpers: HelperTable = new Map<number, HelperImpl>([
  [5, time(() => 0)],
  [125, time((run) => run.machine.env.bootOffset ?? 0)],
  [208, time((run) => run.machine.env.taiOffset ?? 0)],
  [160, { call: (run) => run.ret64(Math.floor(run.machine.env.now() / COARSE_NS) * COARSE_NS), ret: 'u64' }],
  // Jiffies start five minutes before they wrap at 32 bits.
  [
    118,
    { call: (run) => run.ret64(0x1_0000_0000 - 300 * HZ + Math.floor(run.machine.env.now() / COARSE_NS)), ret: 'u64' },
  ],
  [7, { call: (run) => run.machine.env.random() | 0, ret: 'u32' }],
  [8, constant(0)],
  [42, constant(0)],
]);
