/**
 * XDP: a program that sees frames before anything else does, in batches (Documentation/networking/XDP). Frames wait in a
 * ring until the device is polled; the program runs once over all of them; what it passes goes on as if just received.
 */

import { XDP_SIZE } from '../bpf/runtime/ctx.ts';
import type { Machine } from '../bpf/runtime/machine.ts';
import type { Redirect } from '../bpf/runtime/run.ts';
import type { LoadedProgram } from '../bpf/system.ts';
import { DROP } from '../core/drop.ts';
import { ENOMEM, KernelError } from '../core/errno.ts';
import type { Poller } from '../core/world.ts';
import { BatchRunner } from './bpf-batch.ts';
import type { NetDevice } from './device.ts';

export const XDP_ABORTED = 0;
export const XDP_DROP = 1;
export const XDP_PASS = 2;
export const XDP_TX = 3;
export const XDP_REDIRECT = 4;

/** Frames that may wait; the next one is dropped. */
const RING = 1024;
const BATCH = 64;

/** Counters as `ethtool -S` of drivers has them. */
export type XdpStats = {
  packets: number;
  drop: number;
  pass: number;
  tx: number;
  redirect: number;
  redirectFailed: number;
  aborted: number;
};

/** What the host does for redirected frames. */
export type XdpHost = {
  /** Sends (or hands over) a frame that the program redirected; owns the packet. False: there was nowhere to send it. */
  redirect(dev: NetDevice, p: number, redirect: Redirect): boolean;
  /** A program returned XDP_ABORTED or a number that is no verdict (the xdp_exception tracepoint). */
  exception(dev: NetDevice, program: LoadedProgram, verdict: number): void;
};

/** The XDP program of one device. */
export class XdpHook implements Poller {
  readonly loaded: LoadedProgram;
  readonly stats: XdpStats = { packets: 0, drop: 0, pass: 0, tx: 0, redirect: 0, redirectFailed: 0, aborted: 0 };
  readonly #dev: NetDevice;
  readonly #host: XdpHost;
  readonly #runner: BatchRunner;
  readonly #ring = new Int32Array(RING);
  #head = 0;
  #tail = 0;

  /** Throws KernelError (ENOMEM) when there is no memory for the batch. */
  constructor(dev: NetDevice, machine: Machine, loaded: LoadedProgram, host: XdpHost) {
    this.#dev = dev;
    this.loaded = loaded;
    this.#host = host;
    const runner = BatchRunner.create(machine, loaded.program, BATCH, XDP_SIZE);
    if (runner === undefined) throw new KernelError(ENOMEM, 'no memory left for an XDP batch');
    this.#runner = runner;
  }

  /** A frame has arrived. Owns the packet. */
  push(p: number): void {
    const { world } = this.#dev;
    if (this.#head - this.#tail >= RING) {
      this.#dev.stats.rxDropped++;
      return world.drop(p, DROP.FULL_RING);
    }
    this.#ring[this.#head++ & (RING - 1)] = p;
    world.schedule(this);
  }

  poll(budget: number): boolean {
    const { slab } = this.#dev.world;
    let n = 0;
    while (n < Math.min(budget, BATCH) && this.#tail < this.#head) {
      const p = this.#ring[this.#tail++ & (RING - 1)];
      slab.setIif(p, this.#dev.ifindex);
      slab.setOif(p, 0);
      this.#runner.put(n++, p);
    }
    if (n > 0) {
      this.#runner.run(n);
      for (let i = 0; i < n; i++) this.#act(this.#runner.packet(i), this.#runner.verdict(i), i);
    }
    return this.#tail < this.#head;
  }

  #act(p: number, verdict: number, i: number): void {
    const dev = this.#dev;
    const { world } = dev;
    this.stats.packets++;
    switch (verdict) {
      case XDP_PASS:
        this.stats.pass++;
        return dev.deliver(p);
      case XDP_DROP:
        this.stats.drop++;
        return world.drop(p, DROP.XDP);
      case XDP_TX:
        this.stats.tx++;
        return dev.transmitDirect(p);
      case XDP_REDIRECT: {
        const redirect = this.#runner.redirect(i);
        if (redirect !== undefined && this.#host.redirect(dev, p, redirect)) this.stats.redirect++;
        else {
          this.stats.redirectFailed++;
          if (redirect === undefined) world.drop(p, DROP.XDP);
        }
        return;
      }
      default:
        this.stats.aborted++;
        this.#host.exception(dev, this.loaded, verdict);
        return world.drop(p, DROP.XDP);
    }
  }

  /** The program is taken off; frames that wait are dropped. */
  close(): void {
    while (this.#tail < this.#head) this.#dev.world.drop(this.#ring[this.#tail++ & (RING - 1)], DROP.XDP);
    this.#runner.close();
  }
}
