/** A tracing program over the hosts of a world. */
import type { RunMode } from '../bpf/system.ts';
import { type Interval, TraceSession } from '../bpf/trace/index.ts';
import type { World } from '../core/world.ts';
import { TracePoints } from './trace-points.ts';

export type Trace = {
  readonly session: TraceSession;
  /** Detaches, runs END and prints the maps. */
  stop(): void;
};

/** Runs an `interval` block at its times; the answer ends that. */
function repeat(world: World, { period, run }: Interval): () => void {
  let timer = 0;
  const fire = (): void => {
    timer = world.timers.arm(world.now + period, fire);
    run();
  };
  timer = world.timers.arm(world.now + period, fire);
  return () => void world.timers.cancel(timer);
}

/**
 * Compiles `text`, attaches it to its points on one host (or, '', all) and runs its BEGIN. Throws TraceError for a program
 * that is wrong, KernelError for a point that cannot be attached to.
 */
export function startTrace(
  world: World,
  text: string,
  write: (text: string) => void,
  options: { readonly host?: string; readonly run?: RunMode } = {},
): Trace {
  const session = new TraceSession(text, {
    slab: world.slab,
    now: () => world.now,
    random: () => world.random.u32(),
    write,
    run: options.run,
  });
  const points = TracePoints.of(world);
  const detach: (() => void)[] = [];
  const stop = (): void => {
    for (const undo of detach.splice(0)) undo();
  };
  session.begin();
  try {
    for (const p of session.programs) detach.push(points.attach(session.system.machine, p, options.host));
    for (const interval of session.intervals) detach.push(repeat(world, interval));
  } catch (error) {
    stop();
    throw error;
  }
  return {
    session,
    stop: () => {
      stop();
      session.end();
      session.close();
    },
  };
}
