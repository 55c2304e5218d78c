/**
 * Running a program at a socket: one context in memory for each kind of place, filled before and read after the run.
 */

import { SOCK_SIZE } from '../bpf/progtype/sock.ts';
import type { Machine } from '../bpf/runtime/machine.ts';
import { Regions } from '../bpf/runtime/regions.ts';
import type { Run } from '../bpf/runtime/run.ts';
import type { LoadedProgram } from '../bpf/system.ts';
import { ENOMEM, KernelError } from '../core/errno.ts';
import type { Sock } from '../transport/endpoint/sock.ts';
import type { BpfSocks } from './bpf-sock.ts';

/** What helpers may ask of a run at a socket. */
export type SocketRun = {
  readonly kind: 'socket';
  readonly sk: Sock | undefined;
  /** sk_select_reuseport, sk_assign: takes the socket chosen; 0 or -errno. */
  readonly choose?: (sk: Sock | undefined, flags: number) => number;
};

export class ContextBlock {
  readonly machine: Machine;
  readonly socks: BpfSocks;
  readonly at: number;
  readonly size: number;
  readonly #regions = new Regions();

  constructor(machine: Machine, socks: BpfSocks, size: number) {
    this.machine = machine;
    this.socks = socks;
    this.size = size;
    this.at = machine.heap.alloc(size);
    if (this.at === 0) throw new KernelError(ENOMEM, 'no memory left for a context');
  }

  /** A pointer field: 64 bits. */
  pointer(offset: number, address: number): void {
    const { dv } = this.machine.slab;
    dv.setUint32(this.at + offset, address, true);
    dv.setUint32(this.at + offset + 4, 0, true);
  }

  clear(): void {
    this.machine.slab.u8.fill(0, this.at, this.at + this.size);
  }

  /**
   * Runs the program over the context; `prepare` fills it once the run is there, `after` reads it. The low 32 bits of r0.
   */
  enter(
    loaded: LoadedProgram,
    p: number,
    attached: SocketRun,
    prepare?: (run: Run) => void,
    after?: (run: Run) => void,
  ): number {
    const run = this.machine.acquire();
    try {
      run.ctx = this.at;
      run.packet = p;
      run.progType = loaded.spec.type;
      run.attached = attached;
      if (p >= 0) run.meta = run.slab.head(p);
      this.#regions.reset();
      run.regions = this.#regions;
      prepare?.(run);
      const result = loaded.program.enter(run);
      after?.(run);
      return result;
    } finally {
      this.machine.release(run);
    }
  }

  /** The address of a socket for a pointer field, which the program may follow. */
  show(run: Run, sk: Sock): number {
    const at = this.socks.address(sk);
    run.grant(at, SOCK_SIZE);
    return at;
  }
}
