/**
 * C programs (`bpf-c/`) compiled here by clang against libbpf's headers: they load, are verified, and do the same to
 * packets compiled, compiled with checks, and interpreted.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { bindGlobals } from '../src/bpf/bind-globals.ts';
import { type BtfValue, valueToJson } from '../src/bpf/btf/value.ts';
import { type OpenObject, openObject } from '../src/bpf/elf/index.ts';
import type { BpfMap } from '../src/bpf/maps/map.ts';
import { Machine } from '../src/bpf/runtime/machine.ts';
import { type TestRun, testRun } from '../src/bpf/runtime/test-run.ts';
import { BpfSystem, type LoadedObject, type RunMode } from '../src/bpf/system.ts';
import { verify } from '../src/bpf/verifier/verify.ts';
import { Random } from '../src/core/random.ts';
import { Slab } from '../src/core/slab.ts';

const sources = join(import.meta.dirname, 'bpf-c');
const include = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const clang = spawnSync('clang', ['--print-targets'], { encoding: 'utf8' });
const able = /\bbpf\b/.test(clang.stdout ?? '') && existsSync('/usr/include/bpf/bpf_helpers.h');
if (!able) console.warn('skipped: clang with a BPF target and libbpf-dev are not installed');

const folder = able ? mkdtempSync(join(tmpdir(), 'netloom-bpf-c-')) : '';
afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true });
});

function compile(name: string, cpu: string): Uint8Array {
  const out = join(folder, `${name}_${cpu}.o`);
  const words = [
    '-g',
    '-O2',
    '-target',
    'bpf',
    `-mcpu=${cpu}`,
    `-I${include}`,
    '-c',
    join(sources, `${name}.c`),
    '-o',
    out,
  ];
  const done = spawnSync('clang', words, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(done.stderr);
  return new Uint8Array(readFileSync(out));
}

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex'));

/** 10.0.0.1:4660 -> 192.0.2.9, to this port. */
const frame = (protocol: number, port: number, ttl = 64): Uint8Array => {
  const bytes = hex(`ffffffffffff 020000000001 0800
    4500 0028 0001 0000 4000 0000 0a000001 c0000209 1234 0050 00000001 00000000 5002 2000 0000 0000`);
  bytes[23] = protocol;
  bytes[22] = ttl;
  bytes[36] = port >> 8;
  bytes[37] = port & 255;
  return bytes;
};
const TCP = 6;
const UDP = 17;

type Host = {
  readonly object: OpenObject;
  readonly loaded: LoadedObject;
  map(name: string): BpfMap;
  run(program: string, packet: Uint8Array): TestRun;
};

function host(bytes: Uint8Array, name: string, mode: RunMode, prepare: (object: OpenObject) => void = () => {}): Host {
  const object = openObject(bytes, { name });
  prepare(object);
  const random = new Random(1);
  const slab = new Slab({ slots: 16, largeSlots: 4, heapBytes: 64 << 20 });
  let now = 1e9;
  const system = new BpfSystem(
    new Machine({
      slab,
      env: {
        now: () => {
          now += 1000;
          return now;
        },
        random: () => random.u32(),
        timer: () => () => {},
      },
    }),
  );
  const loaded = system.loadObject(object, { run: mode });
  bindGlobals(object, system.machine, loaded.maps);
  return {
    object,
    loaded,
    map: (wanted) => loaded.maps.find((m) => m.name === wanted)!,
    run: (wanted, packet) => {
      const result = testRun(system.machine, loaded.programs.find((p) => p.name === wanted)!.program, packet);
      if ('errno' in result) throw new Error(`errno ${result.errno}`);
      return result;
    },
  };
}

const u32 = (n: number): Uint8Array => new Uint8Array(Uint32Array.of(n).buffer);

/** A map's value as JSON by its BTF. */
function look(h: Host, name: string, key: Uint8Array): string {
  const value = h.map(name).userLookup(key, 0);
  if (typeof value === 'number') return `errno ${-value}`;
  const { btf, maps } = h.object;
  return valueToJson(btf!, maps.find((m) => m.name === name)?.btfValueType ?? 0, value);
}

/** What a scenario saw, run in each way. */
function everyWay(
  bytes: Uint8Array,
  name: string,
  scenario: (h: Host) => unknown,
  prepare?: (o: OpenObject) => void,
): unknown {
  const [compiled, checking, interpreted] = (['compiled', 'checking', 'interpreted'] as const).map((mode) =>
    scenario(host(bytes, name, mode, prepare)),
  );
  expect(checking).toEqual(compiled);
  expect(interpreted).toEqual(compiled);
  return compiled;
}

describe.skipIf(!able)('programs in C', () => {
  for (const cpu of ['v1', 'v3']) {
    test(`are all accepted, compiled for cpu ${cpu}`, () => {
      for (const file of readdirSync(sources).sort()) {
        const object = openObject(compile(file.replace('.c', ''), cpu), { name: file });
        for (const p of object.programs) expect([file, p.name, verify(p).message]).toEqual([file, p.name, '']);
      }
    });
  }

  test('balancer: packets of a service go to a backend, wrapped, and stay with it', () => {
    const seen = everyWay(
      compile('balancer', 'v3'),
      'balancer.o',
      (h) => {
        h.map('vips').userUpdate(hex('c0000209 0050 06 00'), u32(10), 0);
        h.map('backends').userUpdate(u32(10), hex('0a000063 0200000000aa 0100'), 0);
        const first = h.run('balancer', frame(TCP, 80));
        const again = h.run('balancer', frame(TCP, 80));
        const other = h.run('balancer', frame(UDP, 80));
        return {
          ret: [first.ret, again.ret, other.ret],
          outer: Buffer.from(first.data.subarray(0, 34)).toString('hex'),
          same: Buffer.compare(first.data, again.data) === 0,
          counters: look(h, 'counters', u32(10)),
        };
      },
      ({ globals }) => globals.set('own_address', 0x0100007f),
    );
    expect(seen).toEqual({
      ret: [3, 3, 2],
      outer: '0200000000aaffffffffffff08004500003c000000004004f15a7f0000010a000063',
      same: true,
      counters: expect.stringMatching(/"packets":2,"bytes":108/),
    });
  });

  test('firewall: prefixes, a token bucket and TCP options', () => {
    const seen = everyWay(
      compile('firewall', 'v3'),
      'firewall.o',
      (h) => {
        h.map('rules').userUpdate(hex('08000000 0b000000'), hex('01000000 00000000 0000000000000000'), 0);
        const rets = [1, 2, 3, 4].map(() => h.run('firewall', frame(TCP, 80)).ret);
        const { globals } = h.object;
        const syn = frame(TCP, 80);
        return {
          rets,
          passed: globals.get('passed'),
          dropped: globals.get('dropped'),
          clamp: h.run('clamp_mss', Uint8Array.of(...syn.subarray(0, 46), 0x60, ...syn.subarray(47), 2, 4, 1, 0)).ret,
          expire: h.run('expire', syn).ret,
        };
      },
      ({ globals }) => globals.set('burst', 2),
    );
    expect(seen).toEqual({ rets: [0, 0, 0, 2], passed: 3n, dropped: 1n, clamp: 2, expire: 0 } satisfies Record<
      string,
      BtfValue
    >);
  });

  test('stages: tail calls and inner maps are there as soon as the object is loaded', () => {
    const seen = everyWay(compile('stages', 'v3'), 'stages.o', (h) => ({
      rets: [h.run('entry', frame(TCP, 80)).ret, h.run('entry', frame(UDP, 53, 1)).ret],
      packets: h.object.globals.get('packets'),
      protocols: [look(h, 'by_protocol', u32(TCP)), look(h, 'by_protocol', u32(UDP))],
      ttl: look(h, 'by_ttl', u32(64)),
    }));
    expect(seen).toEqual({ rets: [2, 1], packets: [2n, 0n], protocols: ['1', '1'], ttl: '1' });
  });
});
