/**
 * The router of the conntrack-sequences recordings: t0 (10.0.0.1/24, fd00::1/64) towards A, t1 (10.0.1.1/24,
 * fd01::1/64) towards B.
 */
import { Hooks } from '../src/core/hook.ts';
import { World } from '../src/core/world.ts';
import { Conntrack } from '../src/netfilter/conntrack/conntrack.ts';
import type { Conn } from '../src/netfilter/conntrack/entry.ts';
import { DST, dstPort, formatTupleAddress, l3num, protonum, srcPort } from '../src/netfilter/conntrack/tuple.ts';
import * as ipv4 from '../src/wire/ipv4.ts';
import * as ipv6 from '../src/wire/ipv6.ts';
import * as C from '../src/wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NFPROTO_IPV4, NFPROTO_IPV6 } from '../src/wire/uapi/netfilter.ts';

export type RecordedTuple = { src: string; dst: string; proto: number; [key: string]: string | number };

export type RecordedEntry = {
  orig: RecordedTuple;
  reply: RecordedTuple;
  status: string[];
  timeout: number;
  [key: string]: unknown;
};

const STATUS: readonly (readonly [string, number])[] = [
  ['EXPECTED', C.IPS_EXPECTED],
  ['SEEN_REPLY', C.IPS_SEEN_REPLY],
  ['ASSURED', C.IPS_ASSURED],
  ['CONFIRMED', C.IPS_CONFIRMED],
  ['SRC_NAT', C.IPS_SRC_NAT],
  ['DST_NAT', C.IPS_DST_NAT],
  ['SEQ_ADJUST', C.IPS_SEQ_ADJUST],
  ['SRC_NAT_DONE', C.IPS_SRC_NAT_DONE],
  ['DST_NAT_DONE', C.IPS_DST_NAT_DONE],
];

export class Router {
  readonly world: World = new World({ slots: 64, largeSlots: 1 });
  readonly hooks: Hooks = new Hooks(this.world);
  readonly conntrack: Conntrack = new Conntrack(this.world, this.hooks);
  #seen: string[] = [];

  constructor(ruleset: string) {
    if (ruleset !== '') throw new Error('rulesets need the host');
    this.conntrack.get(1);
    for (const pf of [NFPROTO_IPV4, NFPROTO_IPV6])
      this.hooks.register({
        pf,
        hook: 2,
        priority: 300,
        name: 'observer',
        fn: (p) => {
          const bit = this.conntrack.stateBit(p);
          const dir = this.world.slab.nfctinfo(p) >= 3 ? 'reply' : 'orig';
          this.#seen.push(
            bit === 1
              ? 'invalid'
              : bit === 64
                ? 'untracked'
                : bit === 8
                  ? 'new'
                  : bit === 2
                    ? `established ${dir}`
                    : 'related',
          );
          return NF_ACCEPT;
        },
      });
  }

  step(
    side: 'A' | 'B',
    ip: Uint8Array,
    ns: number,
  ): { ct: string[]; outA: string[]; outB: string[]; table: RecordedEntry[] } {
    const { world } = this;
    world.runFor(ns);
    this.#seen = [];
    const out: string[] = [];
    const p = world.slab.from(ip);
    const at = world.slab.head(p);
    world.slab.setNetwork(p, at);
    const pf = ip[0] >> 4 === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    const [iif, oif] = side === 'A' ? [1, 2] : [2, 1];
    if (this.hooks.run(pf, 0, p, iif, 0) === NF_ACCEPT && this.hooks.run(pf, 2, p, iif, oif) === NF_ACCEPT) {
      if (pf === NFPROTO_IPV4) ipv4.decrementTtl(world.slab.dv, at);
      else ipv6.setHopLimit(world.slab.dv, at, ipv6.hopLimit(world.slab.dv, at) - 1);
      if (this.hooks.run(pf, 4, p, 0, oif) === NF_ACCEPT) {
        out.push(Buffer.from(world.slab.bytes(p)).toString('hex'));
        world.slab.free(p);
      }
    }
    return { ct: this.#seen, outA: side === 'B' ? out : [], outB: side === 'A' ? out : [], table: this.#table() };
  }

  #table(): RecordedEntry[] {
    const out: RecordedEntry[] = [];
    this.conntrack.forEach((ct) => {
      out.push(this.#record(ct));
    });
    return out;
  }

  #tuple(ct: Conn, dir: number): RecordedTuple {
    const t = this.conntrack.tuples;
    const at = this.conntrack.at(ct, dir);
    const proto = protonum(t, at);
    const rest: Record<string, number> =
      proto === 1 || proto === 58
        ? { type: dstPort(t, at) >> 8, code: dstPort(t, at) & 255, id: srcPort(t, at) }
        : { sport: srcPort(t, at), dport: dstPort(t, at) };
    return {
      src: formatTupleAddress(t, at, l3num(t, at)),
      dst: formatTupleAddress(t, at + DST, l3num(t, at)),
      proto,
      ...rest,
    };
  }

  #record(ct: Conn): RecordedEntry {
    const state = this.conntrack.tracker(ct).stateName?.(ct);
    return {
      orig: this.#tuple(ct, 0),
      reply: this.#tuple(ct, 1),
      status: STATUS.filter(([, bit]) => ct.status & bit).map(([name]) => name),
      timeout: Math.floor(this.conntrack.expires(ct)),
      ...(state !== undefined && { state }),
      ...(ct.tcp && {
        wscale: [ct.tcp.seen[0].scale, ct.tcp.seen[1].scale],
        flags: [ct.tcp.seen[0].flags, ct.tcp.seen[1].flags],
      }),
      ...(ct.mark && { mark: ct.mark }),
    };
  }
}
