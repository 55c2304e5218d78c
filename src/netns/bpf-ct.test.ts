import { describe, expect, test } from 'vitest';
import { KFUNCS } from '../bpf/runtime/kfuncs.ts';
import type { Run } from '../bpf/runtime/run.ts';
import { World } from '../core/world.ts';
import { Host } from './host.ts';

const ERROR = 4;

/** A host, and a run with a tuple (10.0.0.1:1000 to 10.0.0.2:80) and options for TCP in memory. */
function scene() {
  const host = new Host(new World({ slots: 64 }), 'host');
  const run = host.bpf.system.machine.acquire();
  const tuple = run.machine.heap.alloc(40);
  const opts = run.machine.heap.alloc(16);
  run.u8.set([10, 0, 0, 1, 10, 0, 0, 2, 1000 >> 8, 1000 & 255, 0, 80], tuple);
  run.dv.setInt32(opts, -1, true);
  run.dv.setUint8(opts + 8, 6);
  return { host, run, tuple, opts };
}

function call(run: Run, name: string, ...args: readonly number[]): number {
  const [r1 = 0, r2 = 0, r3 = 0, r4 = 0, r5 = 0] = args;
  return KFUNCS.get(name)?.call(run, r1, r2, r3, r4, r5) ?? -1;
}

describe('connection tracking from programs', () => {
  test('a connection that is not there is ENOENT', () => {
    const { run, tuple, opts } = scene();
    expect(call(run, 'bpf_xdp_ct_lookup', 0, tuple, 12, opts, 12)).toBe(0);
    expect(run.dv.getInt32(opts + ERROR, true)).toBe(-2);
  });

  test('an entry that a program made and inserted is found in both directions, once', () => {
    const { host, run, tuple, opts } = scene();
    const fresh = call(run, 'bpf_xdp_ct_alloc', 0, tuple, 12, opts, 12);
    expect(fresh).not.toBe(0);
    call(run, 'bpf_ct_set_timeout', fresh, 30_000);
    const ct = call(run, 'bpf_ct_insert_entry', fresh);
    expect(ct).toBe(fresh);
    call(run, 'bpf_ct_release', ct);
    expect(host.conntrack.count).toBe(1);

    const found = call(run, 'bpf_skb_ct_lookup', 0, tuple, 12, opts, 12);
    expect(found).not.toBe(0);
    expect(run.dv.getUint8(opts + 9)).toBe(0);
    call(run, 'bpf_ct_release', found);
    run.u8.set([10, 0, 0, 2, 10, 0, 0, 1, 0, 80, 1000 >> 8, 1000 & 255], tuple);
    expect(call(run, 'bpf_skb_ct_lookup', 0, tuple, 12, opts, 12)).not.toBe(0);
    expect(run.dv.getUint8(opts + 9)).toBe(1);

    const again = call(run, 'bpf_xdp_ct_alloc', 0, tuple, 12, opts, 12);
    expect(call(run, 'bpf_ct_insert_entry', again)).toBe(0);
  });

  test('options that make no sense are told apart', () => {
    const { run, tuple, opts } = scene();
    const error = (size: number, optsSize: number): number => {
      call(run, 'bpf_xdp_ct_lookup', 0, tuple, size, opts, optsSize);
      return run.dv.getInt32(opts + ERROR, true);
    };
    expect(error(12, 8)).toBe(-22);
    expect(error(20, 12)).toBe(-97);
    run.dv.setUint8(opts + 8, 1);
    expect(error(12, 12)).toBe(-71);
  });

  test('a connection that was assured stays assured', () => {
    const { run, tuple, opts } = scene();
    const ct = call(run, 'bpf_xdp_ct_alloc', 0, tuple, 12, opts, 12);
    expect(call(run, 'bpf_ct_set_status', ct, 4)).toBe(0);
    expect(call(run, 'bpf_ct_set_status', ct, 0)).toBe(-16);
  });

  test('a program gives a connection its translation before it is inserted', () => {
    const { host, run, tuple, opts } = scene();
    const address = run.machine.heap.alloc(16);
    run.u8.set([192, 0, 2, 7], address);
    const fresh = call(run, 'bpf_xdp_ct_alloc', 0, tuple, 12, opts, 12);
    expect(call(run, 'bpf_ct_set_nat_info', fresh, address, 4000, 0)).toBe(0);
    expect(call(run, 'bpf_ct_set_nat_info', fresh, address, 4000, 0)).toBe(-12);
    call(run, 'bpf_ct_set_timeout', fresh, 30_000);
    call(run, 'bpf_ct_insert_entry', fresh);
    // The reply goes to the translated source.
    run.u8.set([10, 0, 0, 2, 192, 0, 2, 7, 0, 80, 4000 >> 8, 4000 & 255], tuple);
    expect(call(run, 'bpf_skb_ct_lookup', 0, tuple, 12, opts, 12)).not.toBe(0);
    expect(run.dv.getUint8(opts + 9)).toBe(1);
    expect(host.conntrack.count).toBe(1);
  });
});
