/**
 * Loops, locks and timers: bpf_loop, bpf_spin_lock, bpf_timer_*. There is one thread, so locks only have to be held by the
 * verifier's rules.
 */
import { E2BIG, EBUSY, EDEADLK, EINVAL } from '../../../core/errno.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Machine, Timer } from '../machine.ts';
import { Regions } from '../regions.ts';
import type { Run } from '../run.ts';

/** BPF_MAX_LOOPS. */
const MAX_LOOPS = 8 * 1024 * 1024;
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const BPF_F_TIMER_ABS = 1;
const BPF_F_TIMER_CPU_PIN = 2;

function loop(run: Run, count: number, fn: number, ctx: number, flags: number): number {
  if (flags !== 0 || run.hi(4) !== 0) return -EINVAL;
  const n = count >>> 0;
  if (n > MAX_LOOPS) return -E2BIG;
  for (let i = 0; i < n; i++) if (run.callback(fn, i, ctx, 0, 0) !== 0) return i + 1;
  return n;
}

function timerInit(run: Run, at: number, mapAt: number, clock: number): number {
  const address = at >>> 0;
  if (clock !== CLOCK_MONOTONIC && clock !== CLOCK_REALTIME && clock !== CLOCK_BOOTTIME) return -EINVAL;
  if (run.machine.timers.has(address)) return -EBUSY;
  const map = run.machine.mapAt(mapAt >>> 0);
  const valueAt = address - (map.record?.timer ?? 0);
  run.machine.timers.set(address, { map, valueAt, program: undefined, callback: 0, cancel: undefined });
  return 0;
}

function timerSetCallback(run: Run, at: number, fn: number): number {
  const timer = run.machine.timers.get(at >>> 0);
  if (timer === undefined) return -EINVAL;
  timer.program = run.program;
  timer.callback = fn;
  return 0;
}

/** Runs the callback as the kernel does in its timer interrupt: (map, key, value). */
function fire(machine: Machine, timer: Timer): void {
  timer.cancel = undefined;
  const { program, map } = timer;
  if (program === undefined || timer.callback === 0) return;
  const run = machine.acquire();
  run.timer = timer;
  // The key lies in front of a hash element's value; arrays get their index from a copy.
  const keyAt = machine.heap.alloc(Math.max(8, map.keySize));
  machine.keyOf(map, timer.valueAt, keyAt);
  run.regions = new Regions();
  run.grant(keyAt, map.keySize, false);
  run.grant(timer.valueAt, map.valueSize);
  program.call(run, timer.callback, map.address, keyAt, timer.valueAt);
  machine.heap.free(keyAt);
  machine.release(run);
}

function timerStart(run: Run, at: number, low: number, flags: number): number {
  const { machine } = run;
  if ((flags & ~(BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN)) !== 0 || run.hi(3) !== 0) return -EINVAL;
  const timer = machine.timers.get(at >>> 0);
  if (timer?.program === undefined) return -EINVAL;
  timer.cancel?.();
  const ns = run.arg64(2, low);
  const delay = (flags & BPF_F_TIMER_ABS) !== 0 ? Math.max(0, ns - machine.env.now()) : ns;
  timer.cancel = machine.env.timer?.(delay, () => fire(machine, timer));
  return 0;
}

function timerCancel(run: Run, at: number): number {
  const timer = run.machine.timers.get(at >>> 0);
  if (timer === undefined) return -EINVAL;
  if (run.timer === timer) return -EDEADLK;
  const armed = timer.cancel !== undefined;
  timer.cancel?.();
  timer.cancel = undefined;
  timer.program = undefined;
  timer.callback = 0;
  return armed ? 1 : 0;
}

const nothing: HelperImpl = { call: () => 0, ret: 'int' };

export const controlHelpers: HelperTable = new Map<number, HelperImpl>([
  [93, nothing],
  [94, nothing],
  [181, { call: loop, ret: 'int', wide: wide(4) }],
  [169, { call: timerInit, ret: 'int' }],
  [170, { call: timerSetCallback, ret: 'int' }],
  [171, { call: timerStart, ret: 'int', wide: wide(2, 3) }],
  [172, { call: timerCancel, ret: 'int' }],
]);
