import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slab } from '../../core/slab.ts';
import { BPF_PROG_TYPE_SOCKET_FILTER } from '../../wire/uapi/bpf.ts';
import { compileFilter } from '../pcap-filter/index.ts';
import { fillSkb, SKB_SIZE } from '../runtime/ctx.ts';
import { Machine } from '../runtime/machine.ts';
import { BpfSystem, type RunMode } from '../system.ts';
import { type ClassicInsn, type ClassicPacket, checkClassic, runClassic, translateClassic } from './index.ts';

const MODES: readonly RunMode[] = ['interpreted', 'compiled', 'checking'];

/** The packet as a raw socket on device 3 gets it. */
function onSocket(system: BpfSystem, insns: readonly ClassicInsn[], mode: RunMode): (packet: ClassicPacket) => number {
  const translation = translateClassic(insns);
  if (!translation.ok) throw new Error(translation.message);
  const type = BPF_PROG_TYPE_SOCKET_FILTER;
  const spec = {
    name: 'f',
    section: '',
    type,
    expectedAttachType: 0,
    flags: 0,
    license: 'GPL',
    insns: translation.insns,
    maps: [],
  };
  const { program, id } = system.loadProgram(spec, [], { run: mode });
  const { machine } = system;
  const { slab } = machine;
  return (packet) => {
    const run = machine.acquire();
    run.ctx = machine.heap.alloc(SKB_SIZE);
    run.packet = slab.alloc(packet.bytes.length);
    run.progType = type;
    run.ifindex = 3;
    slab.setOif(run.packet, 3);
    slab.setIif(run.packet, 3);
    slab.u8.set(packet.bytes, slab.head(run.packet));
    slab.setLen(run.packet, packet.bytes.length);
    slab.setMac(run.packet, slab.head(run.packet));
    slab.setNetwork(run.packet, slab.head(run.packet) + 14);
    slab.setProtocol(run.packet, packet.protocol ?? 0);
    slab.setPktType(run.packet, packet.packetType ?? 0);
    slab.setMark(run.packet, packet.mark ?? 0);
    fillSkb(run);
    const result = program.enter(run) >>> 0;
    slab.free(run.packet);
    machine.heap.free(run.ctx);
    machine.release(run);
    system.unloadProgram(id);
    return result;
  };
}

const system = (): BpfSystem =>
  new BpfSystem(
    new Machine({
      slab: new Slab({ slots: 4, largeSlots: 2, heapBytes: 4 << 20 }),
      env: { now: () => 0, random: () => 0 },
    }),
  );

const packetOf = (bytes: Uint8Array): ClassicPacket => ({
  bytes,
  protocol: 0x86dd,
  packetType: 4,
  mark: 77,
  device: { ifindex: 3, type: 1 },
  linkOffset: 0,
  networkOffset: 14,
});

const k = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.constantFrom(0xffff_ffff, 0x8000_0000, 0xffff_fffe, 0xfff0_0000, 0xfff0_0004, 0xffe0_0000, 0xffe0_000c),
);
const facts = fc
  .constantFrom(0, 4, 8, 20, 40, 48)
  .map((what): ClassicInsn => ({ code: 0x20, jt: 0, jf: 0, k: 0xffff_f000 + what }));
const step = fc.oneof(
  { weight: 1, arbitrary: facts },
  {
    weight: 6,
    arbitrary: fc.record({
      code: fc.constantFrom(
        ...[
          0x00, 0x01, 0x02, 0x03, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x54, 0x5c, 0x64, 0x6c, 0x74,
          0x7c,
        ],
        ...[
          0x84, 0x94, 0x9c, 0xa4, 0xac, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x61, 0x80, 0x81, 0xb1, 0x05, 0x15,
          0x1d,
        ],
        ...[0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87],
      ),
      jt: fc.integer({ min: 0, max: 3 }),
      jf: fc.integer({ min: 0, max: 3 }),
      k,
    }),
  },
);

describe('a translated program', () => {
  it('returns what the classic one returns, interpreted and compiled', () => {
    const s = system();
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), fc.uint8Array({ minLength: 14, maxLength: 60 }), (body, bytes) => {
        // Words of memory are set first, so that most programs are accepted.
        const set = Array.from({ length: 16 }, (_, i): ClassicInsn => ({ code: 2, jt: 0, jf: 0, k: i }));
        const insns = [{ code: 0, jt: 0, jf: 0, k: 9 }, ...set, ...body, { code: 0x16, jt: 0, jf: 0, k: 0 }];
        if (checkClassic(insns) !== 0) return;
        accepted++;
        const packet = packetOf(bytes);
        const expected = runClassic(insns, packet);
        for (const mode of MODES) expect(onSocket(s, insns, mode)(packet), mode).toBe(expected);
      }),
      { numRuns: 250 },
    );
    expect(accepted).toBeGreaterThan(40);
  });

  it('finds the netlink attributes that the classic one finds, among damaged ones too', () => {
    const s = system();
    const small = fc.integer({ min: 0, max: 28 });
    const attribute = fc.tuple(fc.oneof(small, fc.constantFrom(4, 8, 12)), fc.integer({ min: 0, max: 3 }), small);
    const length = fc.oneof(fc.constantFrom(14, 22, 30), fc.integer({ min: 0, max: 64 }), fc.constant(0xffff_ffff));
    let found = 0;
    fc.assert(
      fc.property(
        fc.array(attribute, { maxLength: 5 }),
        fc.constantFrom(12, 16),
        length,
        fc.integer({ min: 0, max: 3 }),
        (attributes, what, from, type) => {
          const bytes = new Uint8Array([
            ...new Array<number>(14).fill(0),
            ...attributes.flatMap(([size, kind, fill]) => [size, 0, kind, 0, fill, 0, kind, 0]),
          ]);
          const imm = (code: number, value: number): ClassicInsn => ({ code, jt: 0, jf: 0, k: value });
          const insns = [imm(0, from), imm(1, type), imm(0x20, 0xffff_f000 + what), imm(0x16, 0)];
          const expected = runClassic(insns, { bytes });
          if (expected !== 0) found++;
          for (const mode of MODES) expect(onSocket(s, insns, mode)({ bytes }), mode).toBe(expected);
        },
      ),
      { numRuns: 120 },
    );
    expect(found).toBeGreaterThan(0);
  });

  it('may be a compiled filter expression with tunnels and header chains', () => {
    const s = system();
    const bytes = new Uint8Array(
      Buffer.from(
        '02000000000202000000000186dd6000000000200040fd000000000000000000000000000001fd0000000000000000000000000000023c000000000000000600000000000000001600500000000100000000500200000000',
        'hex',
      ),
    );
    for (const expression of [
      'ip6 protochain 6',
      'geneve and vlan and tcp port 80',
      'outbound and ether[20] * 3 > len % 7',
      'port 80',
    ]) {
      const insns = compileFilter(expression);
      for (const mode of MODES)
        expect(onSocket(s, insns, mode)(packetOf(bytes)), expression).toBe(runClassic(insns, packetOf(bytes)));
    }
  });
});
