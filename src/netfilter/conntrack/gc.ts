/**
 * What becomes of connections that nobody asks for: expired ones are removed in the background, and when the table is (nearly)
 * full, those that are not assured make room (`gc_worker`, `early_drop`).
 */
import type { TableCursor } from '../../core/table.ts';
import { IPS_ASSURED, IPS_OFFLOAD } from '../../wire/uapi/ctnetlink.ts';
import type { Conntrack } from './conntrack.ts';
import type { ConnTable } from './table.ts';

const SECOND = 1e9;
/** Buckets looked at to make room for one connection (NF_CT_EVICTION_RANGE). */
const EVICTION_RANGE = 8;
const INTERVAL_MIN = SECOND;
const INTERVAL_MAX = 60 * SECOND;
/** Buckets of one run, so that a large table makes no long pause. */
const BUCKETS = 1024;
/** Assured connections that the fast path forwards get this long again whenever the collector meets them. */
const OFFLOAD_SECONDS = 86400;

export class Collector {
  readonly #ct: Conntrack;
  readonly #table: ConnTable;
  readonly #cursor: TableCursor = { cursor: 0, seed: 0, done: false };
  #timer = -1;
  #dropped = 0;
  #soonest = INTERVAL_MAX;
  #nearlyFull = false;

  constructor(ct: Conntrack, table: ConnTable) {
    this.#ct = ct;
    this.#table = table;
  }

  /** Starts the background run, if it does not run. */
  arm(): void {
    const { world } = this.#ct;
    if (this.#timer < 0) this.#timer = world.timers.arm(world.now + INTERVAL_MAX, this.#run);
  }

  /** Removes a connection that is neither assured nor worth keeping, near the hash; false: there is none. */
  earlyDrop(hash: number): boolean {
    this.#dropped = 0;
    this.#table.near(hash, EVICTION_RANGE, this.#tryDrop);
    this.#ct.stats.earlyDrop += this.#dropped;
    return this.#dropped > 0;
  }

  readonly #tryDrop = (n: number): void => {
    if (this.#dropped > 0) return;
    const ct = this.#table.store.view(n >> 1);
    if (ct.dying || !ct.confirmed) return;
    if (ct.timeout > this.#ct.world.now && ct.status & (IPS_ASSURED | IPS_OFFLOAD)) return;
    if (this.#ct.kill(ct)) this.#dropped = 1;
  };

  /** The next round follows sooner when much is about to expire. */
  readonly #run = (): void => {
    this.#timer = -1;
    const ct = this.#ct;
    const now = ct.world.now;
    const { max } = ct.sysctls;
    this.#soonest = INTERVAL_MAX;
    this.#nearlyFull = max !== 0 && ct.count > max * 0.95;
    let buckets = 0;
    this.#cursor.done = false;
    while (!this.#cursor.done && buckets++ < BUCKETS) this.#table.scan(this.#cursor, this.#visit);
    if (this.#table.count === 0) return;
    const wait = this.#cursor.done ? Math.max(INTERVAL_MIN, this.#soonest) : SECOND / 1000;
    this.#timer = ct.world.timers.arm(now + wait, this.#run);
  };

  readonly #visit = (n: number): void => {
    if (n & 1) return;
    const table = this.#ct;
    const now = table.world.now;
    const ct = this.#table.store.view(n >> 1);
    if (ct.dying) return;
    if (ct.status & IPS_OFFLOAD) {
      ct.timeout = Math.max(ct.timeout, now + OFFLOAD_SECONDS * SECOND);
      return;
    }
    if (ct.timeout <= now) table.kill(ct);
    else if (this.#nearlyFull && (!(ct.status & IPS_ASSURED) || table.tracker(ct).canEarlyDrop?.(ct))) {
      if (table.kill(ct)) table.stats.earlyDrop++;
    } else this.#soonest = Math.min(this.#soonest, ct.timeout - now);
  };
}
