import { describe, expect, test } from 'vitest';
import { assemble } from '../bpf/asm/index.ts';
import { offsetOf } from '../bpf/btf-types/index.ts';
import type { MapSpec } from '../bpf/program.ts';
import type { LoadedProgram, RunMode } from '../bpf/system.ts';
import { DROP } from '../core/drop.ts';
import { TestNetwork, type TestPort } from '../lab/test-network.ts';
import * as u from '../wire/uapi/bpf.ts';
import type { Host } from './host.ts';
import { TracePoints } from './trace-points.ts';

const MODES: readonly RunMode[] = ['compiled', 'checking', 'interpreted'];

// UDP from 10.0.0.2 to 10.0.0.1 port 5001, where nobody listens.
const udp = Uint8Array.from(
  Buffer.from(
    '020000000001' + '0200000000a0' + '0800' + '4500002000010000401166ca0a0000020a000001' + '13881389000c000061626364',
    'hex',
  ),
);

const VALUES: MapSpec = { name: 'v', type: u.BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, maxEntries: 4, flags: 0 };

function setup(): { net: TestNetwork; port: TestPort; host: Host; tracing: TracePoints } {
  const net = new TestNetwork({ slots: 128, largeSlots: 4 });
  const port = net.port('r:eth0');
  const r = net.node('r');
  r.ip('addr add 10.0.0.1/24 dev eth0');
  return { net, port, host: r.host, tracing: TracePoints.of(r.host.world) };
}

type Kind = { readonly type?: number; readonly attach?: number };

/** Loads a program whose r6 ends up in slot 0 of an array. */
function load(host: Host, run: RunMode, target: string, text: string, kind: Kind = {}): LoadedProgram {
  const { insns, errors } = assemble(`
    ${text}
    *(u64 *)(r10 - 8) = r6
    *(u32 *)(r10 - 16) = 0
    r1 = map[id:0]
    r2 = r10
    r2 += -16
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_map_update_elem#2
    r0 = 0
    exit`);
  if (errors.length > 0) throw errors[0];
  const { type = u.BPF_PROG_TYPE_TRACING, attach = u.BPF_TRACE_RAW_TP } = kind;
  const map = host.bpf.system.createMap(VALUES);
  const spec = { name: 'p', section: '', type, expectedAttachType: attach, flags: 0, license: 'GPL', insns, target };
  return host.bpf.system.loadProgram({ ...spec, maps: [VALUES] }, [map], { run });
}

function slot(loaded: LoadedProgram): bigint {
  const value = loaded.maps[0].userLookup(new Uint8Array(4), 0);
  if (typeof value === 'number') throw new Error(`errno ${value}`);
  return new DataView(value.buffer, value.byteOffset).getBigUint64(0, true);
}

function traced(run: RunMode, target: string, text: string, kind: Kind = {}, on = 'r'): bigint {
  const { port, host, tracing } = setup();
  const loaded = load(host, run, target, text, kind);
  tracing.attach(host.bpf.system.machine, loaded, on);
  port.frame(udp);
  expect(tracing.failures).toEqual([]);
  return slot(loaded);
}

const skb = (member: string): number => offsetOf('sk_buff', member);

describe.each(MODES)('a tracing program (%s)', (run) => {
  test('sees why a packet is dropped', () => {
    expect(traced(run, 'kfree_skb', 'r6 = *(u32 *)(r1 + 16)')).toBe(BigInt(DROP.NO_SOCKET));
  });

  test('reads the packet and its device', () => {
    const read = (member: string, width: string): bigint =>
      traced(run, 'netif_receive_skb', `r2 = *(u64 *)(r1 + 0)\nr6 = *(${width} *)(r2 + ${skb(member)})`);
    expect(read('len', 'u32')).toBe(BigInt(udp.length - 14));
    expect(read('protocol', 'u16')).toBe(0x0008n);
    const name = `r2 = *(u64 *)(r1 + 0)
      r3 = *(u64 *)(r2 + ${skb('dev')})
      r6 = *(u32 *)(r3 + ${offsetOf('net_device', 'name')})`;
    expect(traced(run, 'ip_rcv', name, { attach: u.BPF_TRACE_FENTRY })).toBe(0x30687465n);
  });

  test('gets zero behind a pointer that is NULL', () => {
    const family = `r2 = *(u64 *)(r1 + 0)
      r3 = *(u64 *)(r2 + ${skb('sk')})
      r6 = *(u16 *)(r3 + ${offsetOf('sock', '__sk_common.skc_family')})
      r6 += 7`;
    expect(traced(run, 'netif_receive_skb', family)).toBe(7n);
  });

  test('reads bytes of the packet with bpf_probe_read_kernel', () => {
    const port = `r2 = *(u64 *)(r1 + 0)
      r3 = *(u64 *)(r2 + ${skb('data')})
      r3 += 22
      r1 = r10
      r1 += -24
      r2 = 2
      call bpf_probe_read_kernel#113
      r6 = *(u16 *)(r10 - 24)
      r6 = be16 r6`;
    const raw = { type: u.BPF_PROG_TYPE_RAW_TRACEPOINT, attach: 0 };
    expect(traced(run, 'netif_receive_skb', port)).toBe(5001n);
    expect(() => traced(run, 'netif_receive_skb', port, raw)).toThrow('R2 invalid mem access');
  });

  test('gets the record of a tracepoint', () => {
    const record = { type: u.BPF_PROG_TYPE_TRACEPOINT, attach: 0 };
    expect(traced(run, 'skb/kfree_skb', 'r6 = *(u32 *)(r1 + 36)', record)).toBe(BigInt(DROP.NO_SOCKET));
  });

  test('of another host sees nothing', () => {
    expect(traced(run, 'kfree_skb', 'r6 = 1', {}, 'elsewhere')).toBe(0n);
  });
});

test('a program is attached where something happens, and reads what is there', () => {
  const { host, tracing } = setup();
  const { machine } = host.bpf.system;
  const attach = (target: string, text: string, kind?: Kind) => (): unknown =>
    tracing.attach(machine, load(host, 'compiled', target, text, kind));
  expect(attach('tcp_probe', 'r6 = 1')).toThrow('netloom does not hit the tracing point tcp_probe yet');
  const raw = { type: u.BPF_PROG_TYPE_RAW_TRACEPOINT, attach: 0 };
  expect(attach('netif_receive_skb', 'r6 = *(u64 *)(r1 + 80)', raw)).toThrow('reads more than netif_receive_skb has');
  const record = { type: u.BPF_PROG_TYPE_TRACEPOINT, attach: 0 };
  expect(attach('skb/kfree_skb', 'r6 = *(u64 *)(r1 - 8)', record)).toThrow('reads more than');
});

test('after the last program is detached nobody listens', () => {
  const { host, tracing, port } = setup();
  const loaded = load(host, 'compiled', 'kfree_skb', 'r6 = 1');
  const detach = tracing.attach(host.bpf.system.machine, loaded);
  expect(host.world.probe).toBe(tracing);
  detach();
  expect(host.world.probe).toBeUndefined();
  port.frame(udp);
  expect(slot(loaded)).toBe(0n);
});
