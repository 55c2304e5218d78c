import { expect, test } from 'vitest';
import { Slab } from '../../core/slab.ts';
import { BPF_MAP_TYPE_ARRAY, BPF_PROG_TYPE_SCHED_CLS } from '../../wire/uapi/bpf.ts';
import { assemble } from '../asm/index.ts';
import { Machine } from '../runtime/machine.ts';
import { testRun } from '../runtime/test-run.ts';
import { BpfSystem } from '../system.ts';

const spec = { name: 'ports', type: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 24, maxEntries: 77, flags: 0 };

test.each(['compiled', 'checking', 'interpreted'] as const)(
  'a map pointer leads to struct bpf_map, with the members that describe the map, %s',
  (run) => {
    const system = new BpfSystem(
      new Machine({ slab: new Slab({ slots: 4, largeSlots: 2 }), env: { now: () => 0, random: () => 0 } }),
    );
    const map = system.createMap(spec);
    const { insns } = assemble(
      'r1 = map[id:0]\nr0 = *(u32 *)(r1 + 76)\nr2 = *(u32 *)(r1 + 72)\nr0 <<= 16\nr0 |= r2\nr2 = *(u8 *)(r1 + 136)\nr2 <<= 8\nr0 |= r2\nexit',
    );
    const program = {
      name: 'p',
      section: '',
      type: BPF_PROG_TYPE_SCHED_CLS,
      expectedAttachType: 0,
      flags: 0,
      license: 'GPL',
      insns,
      maps: [spec],
    };
    const { program: loaded } = system.loadProgram(program, [map], { run });
    const result = testRun(system.machine, loaded, new Uint8Array(64).fill(8));
    expect(result).toMatchObject({ ret: (77 << 16) | (0x70 << 8) | 24 });
  },
);
