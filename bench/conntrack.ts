/**
 * Connection tracking with a full table: 500,000 UDP connections made one after another through the hooks, then packets of
 * established ones. The longest pause is that of a batch of 64 packets.
 */
import { Hooks } from '../src/core/hook.ts';
import { World } from '../src/core/world.ts';
import { Conntrack } from '../src/netfilter/conntrack/conntrack.ts';
import * as checksum from '../src/wire/checksum.ts';
import * as ipv4 from '../src/wire/ipv4.ts';
import { NFPROTO_INET, NFPROTO_IPV4 } from '../src/wire/uapi/netfilter.ts';
import type { Figure } from './figure.ts';

const CONNECTIONS = 500_000;
const BATCH = 64;
const LOOKUPS = 2_000_000;

function frame(): Uint8Array {
  const out = new Uint8Array(28);
  const dv = new DataView(out.buffer);
  ipv4.init(dv, 0, 0x0a000007, 0xc0000201, 17, 28, 64);
  dv.setUint16(24, 8);
  return out;
}

/** Insert and lookup rate, longest pause. */
export function conntrack(): Figure[] {
  const world = new World({ slots: 64, largeSlots: 1 });
  const hooks = new Hooks(world);
  const table = new Conntrack(world, hooks);
  table.get(NFPROTO_INET);
  table.setSysctl('nf_conntrack_max', '0');
  table.setSysctl('nf_conntrack_udp_timeout', '100000');
  const { slab } = world;
  const p = slab.from(frame());
  slab.setNetwork(p, slab.head(p));
  const at = slab.head(p);
  const send = (n: number): void => {
    slab.setNfct(p, 0, 0);
    slab.dv.setUint32(at + 12, 0x0a000000 + (n >>> 4));
    slab.dv.setUint16(at + 20, 1024 + (n & 15));
    slab.dv.setUint16(at + 22, 53);
    slab.dv.setUint16(at + 10, 0);
    slab.dv.setUint16(at + 10, checksum.checksum(slab.dv, at, 20));
    hooks.run(NFPROTO_IPV4, 0, p, 1, 0);
    hooks.run(NFPROTO_IPV4, 4, p, 0, 2);
  };
  let longest = 0;
  const begun = performance.now();
  for (let n = 0; n < CONNECTIONS; n += BATCH) {
    const before = performance.now();
    for (let k = 0; k < BATCH; k++) send(n + k);
    longest = Math.max(longest, performance.now() - before);
  }
  const insert = performance.now() - begun;
  let seed = 1;
  const lookup = (spread: number): number => {
    const from = performance.now();
    for (let i = 0; i < LOOKUPS; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      send(seed % spread);
    }
    return ((performance.now() - from) * 1e6) / LOOKUPS;
  };
  lookup(1000);
  const few = lookup(1000);
  const many = lookup(CONNECTIONS);
  const line = (name: string, ours: string, note: string): Figure => ({
    name,
    ours,
    peer: '-',
    ratio: Number.NaN,
    note,
  });
  return [
    line('conntrack: new connections', `${Math.round(CONNECTIONS / insert)} k/s`, `until ${table.count} are there`),
    line('conntrack: longest pause while filling', `${longest.toFixed(1)} ms`, `of ${BATCH} packets`),
    line('conntrack: a packet of an existing connection', `${few.toFixed(0)} ns`, 'of 1,000'),
    line('conntrack: the same', `${many.toFixed(0)} ns`, `of ${CONNECTIONS}`),
  ];
}
