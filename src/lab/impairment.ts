/**
 * An impaired link, one direction of it: rate, delay, jitter, loss, duplication, reordering and corruption, all drawn
 * from the world's seed (the model of tc-netem(8)). Frames keep their order unless `reorder` says otherwise.
 */
import { DROP } from '../core/drop.ts';
import type { Random } from '../core/random.ts';
import type { World } from '../core/world.ts';
import type { LinkFilter } from '../device/veth.ts';
import type { Impairments } from './impairment-spec.ts';

/** The filter for `VethPair.impair`. */
export function impair(world: World, options: Impairments): LinkFilter {
  const random: Random = world.random.fork();
  const { slab } = world;
  let busyUntil = 0;
  let lastArrival = 0;
  let waiting = 0;
  let deliver: ((p: number) => void) | undefined;
  // One function for all frames: the timer carries the handle.
  const arrive = (p: number): void => {
    waiting--;
    deliver?.(p);
  };
  const send = (p: number): void => {
    const start = Math.max(world.now, busyUntil);
    busyUntil = options.rate > 0 ? start + (slab.len(p) * 8e9) / options.rate : start;
    const early = options.reorder > 0 && random.unit() < options.reorder;
    const spread = options.jitter > 0 ? (random.unit() * 2 - 1) * options.jitter : 0;
    let at = busyUntil + (early ? 0 : Math.max(0, options.delay + spread));
    if (!early) {
      at = Math.max(at, lastArrival);
      lastArrival = at;
    }
    if (at <= world.now) {
      deliver?.(p);
      return;
    }
    waiting++;
    world.timers.arm(at, arrive, p);
  };
  return (p, onward) => {
    deliver = onward;
    if (options.loss > 0 && random.unit() < options.loss) {
      world.drop(p, DROP.LINK_LOSS);
      return true;
    }
    if (options.rate > 0 && waiting >= options.limit) {
      world.drop(p, DROP.LINK_QUEUE_FULL);
      return true;
    }
    const twice = options.duplicate > 0 && random.unit() < options.duplicate ? slab.copy(p) : -1;
    if (options.corrupt > 0 && random.unit() < options.corrupt) {
      const at = slab.head(p) + random.below(slab.len(p));
      slab.u8[at] ^= 1 << random.below(8);
    }
    send(p);
    if (twice >= 0) send(twice);
    return true;
  };
}
