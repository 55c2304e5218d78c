/** A tracing program over the hosts of a world. */
import type { RunMode } from '../bpf/system.ts';
import { TraceSession } from '../bpf/trace/index.ts';
import type { World } from '../core/world.ts';
import { TracePoints } from './trace-points.ts';

export type Trace = {
  readonly session: TraceSession;
  /** Detaches, runs END and prints the maps. */
  stop(): void;
};

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
