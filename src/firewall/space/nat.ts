/**
 * Translation: what a NAT rule makes of a packet is part of the outcome, and later chains see the rewritten header. An address
 * that is not one constant (a range, masquerading) is a variable of its own, the same for the same kind of translation.
 */
import { NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_NETMAP, NF_NAT_RANGE_PROTO_SPECIFIED } from '../../wire/uapi/ctnetlink.ts';
import { NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import { IPS_DST_NAT_BIT, IPS_SRC_NAT_BIT } from './conntrack.ts';
import type { RuleRun } from './context.ts';
import type { ExprData } from './read.ts';
import { choose, constant, differ, equals, type Vec } from './vector.ts';

export type Translation = {
  readonly source: boolean;
  /** "snat", "dnat", "masquerade", "redirect", "netmap". */
  readonly kind: string;
  /** NF_NAT_RANGE_* */
  readonly flags: number;
  readonly min?: Vec;
  readonly max?: Vec;
  readonly minPort?: Vec;
  readonly maxPort?: Vec;
};

const WITH_PORTS: readonly number[] = [6, 17, 33, 132, 136];

/** Puts a translation into the state, where the rule matches; it decides "accept" there. */
export function translate(run: RuleRun, t: Translation): void {
  const { space, place } = run;
  const { bdd, fields } = space;
  const six = place.l3 !== NFPROTO_IPV4;
  const bits = six ? 128 : 32;
  const which = t.source ? 'snat' : 'dnat';
  let here = run.here();
  if (t.kind === 'masquerade' && !six)
    // A packet without an address yet (DHCP) stays without.
    here = bdd.diff(here, equals(bdd, run.state.vec(fields.field('ip saddr')), new Uint8Array(4)));
  const address = fields.field(`${six ? 'ip6' : 'ip'} ${t.source ? 'saddr' : 'daddr'}`);
  const before = run.state.vec(address);
  const flags = t.flags & ~(NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED);
  const kind = `${t.kind}${t.min !== undefined ? ' address' : ''}${t.minPort !== undefined ? ' port' : ''}${flags !== 0 ? ` flags ${flags.toString(16)}` : ''}`;
  let state = run.state.set(here, fields.written(`${which} ${kind}`), [TRUE]);
  const put = (part: string, width: number, value: Vec | undefined): void => {
    if (value !== undefined) state = state.set(here, fields.written(`${which} ${part}`, width, 'hex'), value);
  };
  put(`${six ? 'ip6' : 'ip'} min`, bits, t.min);
  put(`${six ? 'ip6' : 'ip'} max`, bits, t.max);
  put('port min', 16, t.minPort);
  put('port max', 16, t.maxPort);
  // The header from here on.
  let after: Node[] = before;
  const why = 'which address a translation picks';
  if (t.kind === 'netmap' && t.min !== undefined && t.max !== undefined) {
    const { min, max } = t;
    after = before.map((bit, i) => bdd.ite(bdd.xor(min[i], max[i]), bit, min[i]));
  } else if (t.min !== undefined && t.max !== undefined) {
    const range = differ(bdd, t.min, t.max);
    const key = `${which} of ${space.intern(t.min)} ${space.intern(t.max)} ${flags} ${space.intern(before)}`;
    after =
      range === FALSE
        ? [...t.min]
        : choose(bdd, range, space.opaque(key, `address by ${t.kind}`, bits, why, six ? 'ip6' : 'ip'), t.min);
  } else if (t.kind === 'masquerade' || t.kind === 'redirect') {
    const key = `${t.kind} ${place.path} ${place.l3}`;
    const loop = new Uint8Array(bits / 8);
    loop[loop.length - 1] = 1;
    if (!six) loop[0] = 127;
    after =
      t.kind === 'redirect' && place.path === 'output'
        ? constant(loop)
        : space.opaque(key, `address by ${t.kind}`, bits, why, six ? 'ip6' : 'ip');
  }
  // A variable address is taken to be another one: that the two are equal cannot be drawn as a small diagram.
  const known =
    t.kind === 'netmap' || (t.min !== undefined && t.max !== undefined && differ(bdd, t.min, t.max) === FALSE);
  let changed: Node = after === before ? FALSE : known ? differ(bdd, before, after) : TRUE;
  state = state.set(here, address, after);
  if (t.minPort !== undefined) {
    const port = fields.field(t.source ? 'sport' : 'dport');
    const old = run.state.vec(port);
    let ports: Node = FALSE;
    const protocol = run.state.vec(fields.field('protocol'));
    for (const p of WITH_PORTS) ports = bdd.or(ports, equals(bdd, protocol, Uint8Array.of(p)));
    const max = t.maxPort ?? t.minPort;
    const range = differ(bdd, t.minPort, max);
    const key = `${which} port of ${space.intern(t.minPort)} ${space.intern(max)} ${flags} ${space.intern(old)}`;
    const value =
      range === FALSE
        ? t.minPort
        : choose(bdd, range, space.opaque(key, `port by ${t.kind}`, 16, why, 'port'), t.minPort);
    changed = bdd.or(changed, bdd.and(ports, range === FALSE ? differ(bdd, old, value) : TRUE));
    state = state.set(bdd.and(here, ports), port, value);
  }
  const status = fields.field('ct status').first + 31 - (t.source ? IPS_SRC_NAT_BIT : IPS_DST_NAT_BIT);
  run.state = state.write(bdd.and(here, changed), [status], [TRUE]).set(here, fields.written(`${which} done`), [TRUE]);
  run.decide(space.accept);
}

/** Expression `nat`. */
export function natExpr(run: RuleRun, data: ExprData): void {
  const family = data.u32(U.NFTA_NAT_FAMILY);
  if (family !== run.place.pf && family !== NFPROTO_INET) return;
  const source = data.u32(U.NFTA_NAT_TYPE) === U.NFT_NAT_SNAT;
  const bytes = run.place.pf === NFPROTO_IPV6 ? 16 : 4;
  const flags = data.u32(U.NFTA_NAT_FLAGS);
  const min = data.has(U.NFTA_NAT_REG_ADDR_MIN) ? run.read(data.register(U.NFTA_NAT_REG_ADDR_MIN), bytes) : undefined;
  const max = data.has(U.NFTA_NAT_REG_ADDR_MAX) ? run.read(data.register(U.NFTA_NAT_REG_ADDR_MAX), bytes) : min;
  translate(run, {
    source,
    kind: flags & NF_NAT_RANGE_NETMAP ? 'netmap' : source ? 'snat' : 'dnat',
    flags,
    ...(min !== undefined && max !== undefined && { min, max }),
    ...ports(run, data, U.NFTA_NAT_REG_PROTO_MIN, U.NFTA_NAT_REG_PROTO_MAX),
  });
}

function ports(run: RuleRun, data: ExprData, min: number, max: number): Pick<Translation, 'minPort' | 'maxPort'> {
  if (!data.has(min)) return {};
  const minPort = run.read(data.register(min), 2);
  return { minPort, maxPort: data.has(max) ? run.read(data.register(max), 2) : minPort };
}

export function masqExpr(run: RuleRun, data: ExprData): void {
  const flags = data.u32(U.NFTA_MASQ_FLAGS);
  translate(run, {
    source: true,
    kind: 'masquerade',
    flags,
    ...ports(run, data, U.NFTA_MASQ_REG_PROTO_MIN, U.NFTA_MASQ_REG_PROTO_MAX),
  });
}

export function redirExpr(run: RuleRun, data: ExprData): void {
  const flags = data.u32(U.NFTA_REDIR_FLAGS);
  translate(run, {
    source: false,
    kind: 'redirect',
    flags,
    ...ports(run, data, U.NFTA_REDIR_REG_PROTO_MIN, U.NFTA_REDIR_REG_PROTO_MAX),
  });
}
