/**
 * Netfilter: one packet through a prerouting chain, interpreted and compiled, and beside it this kernel with the same rules and
 * the same packet (kernel-netfilter.py). Linear rules come in two kinds: lists of one kind of rule, which become lookups,
 * and rules of two kinds in turns, which are compared one after the other. From all figures the time of a chain that only has
 * a policy is subtracted, which is the harness's.
 *
 * netloom's figures are the best of many windows of about a millisecond, the kernel's the best processor time of some
 * rounds: on a machine with other work the rest measures that work.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { BareHost } from '../src/netfilter/nft/bare-host.ts';
import type { CompileMode } from '../src/netfilter/nft/compile/chains.ts';
import { Nfnetlink } from '../src/netlink/nfnetlink.ts';
import { runScript } from '../src/tools/nft/index.ts';
import * as checksum from '../src/wire/checksum.ts';
import type { NetlinkTransport } from '../src/wire/netlink/message.ts';
import { NFPROTO_IPV4 } from '../src/wire/uapi/netfilter.ts';
import type { Figure } from './figure.ts';

const WINDOW_NS = 1_000_000;
const WINDOWS = 120;
const KERNEL_FRAMES = 200_000;
const KERNEL_ROUNDS = 5;

type Case = {
  readonly name: string;
  readonly rules: string;
  /** The kernel gets so many times fewer frames. */
  readonly less?: number;
  /** A connection is to be there. */
  readonly connection?: boolean;
};

/** An UDP frame from 10.0.0.2:40000 to 10.0.0.1:53. */
function frame(): Uint8Array {
  const bytes = new Uint8Array(60);
  const dv = new DataView(bytes.buffer);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xa0, 8, 0]);
  dv.setUint8(14, 0x45);
  dv.setUint16(16, 46);
  dv.setUint8(22, 64);
  dv.setUint8(23, 17);
  bytes.set([10, 0, 0, 2, 10, 0, 0, 1], 26);
  dv.setUint16(34, 40_000);
  dv.setUint16(36, 53);
  dv.setUint16(38, 26);
  dv.setUint16(24, checksum.checksum(dv, 14, 20));
  return bytes;
}

const chain = (rules: string, before = ''): string =>
  `table ip t {\n${before}chain c {\ntype filter hook prerouting priority 0; policy drop;\n${rules}\n}\n}\n`;
const list = (n: number, rule: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => rule(i)).join('\n');
const address = (i: number): string => `10.${9 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;

const alike = (n: number): Case => ({
  name: `${n} x ip saddr A drop`,
  rules: chain(list(n, (i) => `ip saddr ${address(i)} drop`)),
  less: Math.max(1, n / 50),
});
const mixed = (n: number): Case => ({
  name: `${n} rules, ip saddr A and udp dport N in turns`,
  rules: chain(list(n, (i) => (i & 1 ? `ip saddr ${address(i)} drop` : `udp dport ${1000 + (i % 30_000)} drop`))),
  less: Math.max(1, n / 50),
});

const CASES: readonly Case[] = [
  { name: 'empty', rules: chain('') },
  alike(10),
  alike(100),
  alike(1000),
  alike(10_000),
  mixed(10),
  mixed(100),
  mixed(1000),
  mixed(10_000),
  {
    name: '1000 x ip saddr A counter drop',
    rules: chain(list(1000, (i) => `ip saddr ${address(i)} counter drop`)),
    less: 20,
  },
  {
    name: 'set of 100,000 addresses',
    rules: chain(
      'ip saddr @s drop',
      `set s { type ipv4_addr; elements = { 10.0.0.2, ${list(99_999, address).replaceAll('\n', ', ')} }; }\n`,
    ),
  },
  {
    name: 'verdict map of 100 ports',
    rules: chain(`udp dport vmap { ${list(100, (i) => `${i + 1} : drop`).replaceAll('\n', ', ')} }`),
  },
  { name: 'ct state established, conntrack included', rules: chain('ct state established drop'), connection: true },
];

class Bare {
  readonly host: BareHost;
  readonly p: number;
  readonly #nfnetlink: Nfnetlink;
  /** Datagrams of the last script. */
  sent: Uint8Array[] = [];

  constructor(mode: CompileMode) {
    const world = new World({ slots: 64, largeSlots: 1, heapBytes: 256 << 20 });
    this.host = new BareHost(world, [{ name: 'lo' }, { name: 'v0', mac: Uint8Array.of(2, 0, 0, 0, 0, 1) }]);
    this.host.nft.compiled.mode = mode;
    this.#nfnetlink = new Nfnetlink(this.host.nft);
    this.p = this.host.receive(frame(), 2);
  }

  load(rules: string): void {
    this.sent = [];
    const netlink: NetlinkTransport = {
      open: () => ({
        send: (datagram) => {
          this.sent.push(datagram);
          return [...this.#nfnetlink.handle(datagram)];
        },
      }),
    };
    const { code, stderr } = runScript(rules, { netlink }, { file: 'rules.nft' });
    if (code !== 0) throw new Error(stderr);
  }

  repeat(): void {
    for (const datagram of this.sent) for (const _ of this.#nfnetlink.handle(datagram));
  }

  run(n: number): void {
    const { host, p } = this;
    const { slab } = host.world;
    for (let i = 0; i < n; i++) {
      slab.setNfct(p, 0, 0);
      host.hooks.run(NFPROTO_IPV4, 0, p, 2, 0);
    }
  }

  /** A connection whose answers the frame is: its first packet, the other way round, goes through and is confirmed. */
  connect(): void {
    const { host } = this;
    const { slab } = host.world;
    const q = slab.from(frame());
    const at = slab.head(q);
    slab.pull(q, 14);
    slab.setNetwork(q, at + 14);
    slab.setProtocol(q, 0x0800);
    slab.u8.set([10, 0, 0, 1, 10, 0, 0, 2], at + 26);
    slab.dv.setUint16(at + 34, 53);
    slab.dv.setUint16(at + 36, 40_000);
    slab.dv.setUint16(at + 24, 0);
    slab.dv.setUint16(at + 24, checksum.checksum(slab.dv, at + 14, 20));
    host.hooks.run(NFPROTO_IPV4, 3, q, 0, 2);
    host.hooks.run(NFPROTO_IPV4, 4, q, 0, 2);
  }
}

function best(bare: Bare): number {
  let n = 1;
  let took = 0;
  // Long enough for the engine to have made up its mind.
  const warm = process.hrtime.bigint();
  while (took < WINDOW_NS / 2 || process.hrtime.bigint() - warm < 400_000_000n) {
    const from = process.hrtime.bigint();
    bare.run(n);
    took = Number(process.hrtime.bigint() - from);
    if (took < WINDOW_NS / 2) n *= 2;
  }
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < WINDOWS; i++) {
    const from = process.hrtime.bigint();
    bare.run(n);
    least = Math.min(least, Number(process.hrtime.bigint() - from) / n);
  }
  return least;
}

function measure(c: Case, mode: CompileMode): number {
  const bare = new Bare(mode);
  bare.load(c.rules);
  if (c.connection) bare.connect();
  return best(bare);
}

type Kernel = Record<string, { readonly empty: number; readonly rules: number }>;

function kernel(folder: string): Kernel | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const made = mkdtempSync(join(tmpdir(), 'netloom-bench-'));
  try {
    const path = join(made, 'cases.json');
    const hex = Buffer.from(frame()).toString('hex');
    const insert =
      'conntrack -I -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 53 --dport 40000 --timeout 1000 --status ASSURED,SEEN_REPLY';
    writeFileSync(
      path,
      JSON.stringify(
        CASES.map((c) => ({ ...c, frame: hex, after: c.connection ? [insert.split(' ')] : [], less: c.less ?? 1 })),
      ),
    );
    const words = [join(folder, 'kernel-netfilter.py'), path, String(KERNEL_FRAMES), String(KERNEL_ROUNDS)];
    const { status, stdout, stderr } = spawnSync('python3', words, { encoding: 'utf8', maxBuffer: 1 << 26 });
    if (status !== 0) {
      console.error(`this kernel is not measured: ${stderr.trim().split('\n').at(-1)}`);
      return undefined;
    }
    return JSON.parse(stdout) as Kernel;
  } finally {
    rmSync(made, { recursive: true });
  }
}

/** Replacing one rule in the middle of 10,000: the batch, and with it the first packet that the new rules judge. */
function replace(name: string, rule: (i: number) => string): Figure {
  const bare = new Bare('eager');
  bare.load(chain(list(10_000, rule)));
  bare.run(1000);
  const handle = (bare.host.nft.tables.values().next().value?.chains.get('c')?.rules[5000].handle ?? 0) as number;
  const batches: number[] = [];
  const first: number[] = [];
  for (let i = 0; i < 60; i++) {
    bare.load(`replace rule ip t c handle ${handle} ${rule(20_000 + i)}`);
    const { sent } = bare;
    bare.run(1);
    bare.load(`replace rule ip t c handle ${handle} ${rule(30_000 + i)}`);
    bare.run(1);
    bare.sent = sent;
    const from = process.hrtime.bigint();
    bare.repeat();
    const done = process.hrtime.bigint();
    bare.run(1);
    batches.push(Number(done - from) / 1e6);
    first.push(Number(process.hrtime.bigint() - from) / 1e6);
  }
  const middle = (v: readonly number[]): number => [...v].sort((a, b) => a - b)[v.length >> 1];
  return {
    name: `one rule of 10,000 replaced (${name})`,
    ours: `${middle(first).toFixed(2)} ms`,
    peer: '-',
    ratio: Number.NaN,
    note: `median, with the first packet by the new rules; the batch alone ${middle(batches).toFixed(2)} ms; best ${Math.min(...first).toFixed(2)} ms`,
  };
}

/** All cases. */
export function netfilter(folder: string): Figure[] {
  const theirs = kernel(folder);
  const none = { off: measure(CASES[0], 'off'), eager: measure(CASES[0], 'eager') };
  const figures: Figure[] = [
    {
      name: 'netfilter: a chain with a policy only (the harness)',
      ours: `${none.eager.toFixed(0)} ns`,
      peer: theirs === undefined ? '-' : `${theirs.empty.rules.toFixed(0)} ns`,
      ratio: Number.NaN,
      note: `interpreted ${none.off.toFixed(0)} ns`,
    },
  ];
  for (const c of CASES.slice(1)) {
    const interpreted = Math.max(0, measure(c, 'off') - none.off);
    const compiled = Math.max(0, measure(c, 'eager') - none.eager);
    const k = theirs?.[c.name];
    const peer = k === undefined ? Number.NaN : k.rules - k.empty;
    figures.push({
      name: `netfilter: ${c.name}`,
      ours: `${compiled.toFixed(1)} ns`,
      peer: k === undefined ? '-' : `${peer.toFixed(1)} ns`,
      ratio: compiled / peer,
      note: `interpreted ${interpreted.toFixed(0)} ns`,
    });
  }
  figures.push(replace('a list of one kind', (i) => `ip saddr ${address(i)} drop`));
  figures.push(
    replace('two kinds in turns', (i) =>
      i & 1 ? `ip saddr ${address(i)} drop` : `udp dport ${1000 + (i % 30_000)} drop`,
    ),
  );
  return figures;
}
