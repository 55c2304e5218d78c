/** `vlan`, `mpls`, `pppoes`, `geneve`: tests that also say where the rest of the expression looks. */
import { BPF_JEQ } from '../insn.ts';
import type { At, Expr } from './ast.ts';
import { and, beyond, type Cond, choose, constant, equal, ip4HeaderLength, or, type Step, TRUE, test } from './cond.ts';
import {
  ETHERTYPE_IP,
  ETHERTYPE_IPV6,
  ETHERTYPE_MPLS,
  ETHERTYPE_PPPOES,
  ETHERTYPE_VLAN,
  isWlan,
  LINKTYPE_ETHERNET,
  LINKTYPE_PPP,
  network,
} from './link.ts';
import { ports } from './port.ts';
import { IPPROTO_UDP } from './proto.ts';
import type { Scope } from './scope.ts';

type Nest = Extract<Expr, { kind: 'nest' }>;

const ETHERTYPE_8021AD = 0x88a8;
const ETHERTYPE_QINQ = 0x9100;
const GENEVE_PORT = 6081;
/** Ethernet inside a tunnel (trans ether bridging). */
const ETHERTYPE_TEB = 0x6558;

function limit(scope: Scope, e: Nest, max: number, what: string): void {
  if (e.number !== undefined && e.number > max) scope.fail(`${what} ${e.number} greater than maximum ${max}`, e);
}

function vlan(scope: Scope, e: Nest): Cond {
  const { link } = scope;
  if (link.labels > 0) scope.fail('no VLAN match after MPLS', e);
  if (link.type !== LINKTYPE_ETHERNET && !isWlan(link)) scope.fail(`no VLAN support for ${link.name}`, e);
  limit(scope, e, 0xfff, 'VLAN tag');
  const types = [ETHERTYPE_VLAN, ETHERTYPE_8021AD, ETHERTYPE_QINQ];
  const tagged = types.map((type) => scope.protocol(type, e)).reduce((all, one) => or(all, one));
  scope.link = { ...link, typeAt: beyond(link.typeAt, 4), payload: beyond(link.payload, 4) };
  return e.number === undefined ? tagged : and(tagged, equal(network(link), 2, e.number, 0xfff));
}

function mpls(scope: Scope, e: Nest): Cond {
  const { link } = scope;
  if (link.type !== LINKTYPE_ETHERNET && link.type !== LINKTYPE_PPP) scope.fail(`no MPLS support for ${link.name}`, e);
  limit(scope, e, 0xf_ffff, 'MPLS label');
  const label = network(link);
  // Inside another label: that one is not the last of the stack.
  const type = link.type === LINKTYPE_PPP ? 0x0281 : ETHERTYPE_MPLS;
  const here = link.labels > 0 ? equal(beyond(label, -2), 1, 0, 1) : scope.protocol(type, e);
  scope.link = { ...link, nl: link.nl + 4, labels: link.labels + 1 };
  return e.number === undefined ? here : and(here, equal(label, 4, e.number << 12, 0xffff_f000));
}

function pppoes(scope: Scope, e: Nest): Cond {
  const { link } = scope;
  limit(scope, e, 0xffff, 'PPPoE session number');
  const session = scope.protocol(ETHERTYPE_PPPOES, e);
  const inside = beyond(network(link), 6);
  scope.link = {
    ...link,
    type: LINKTYPE_PPP,
    name: 'PPP',
    header: inside,
    typeAt: inside,
    payload: beyond(inside, 2),
    nl: 0,
    labels: 0,
    tunnel: false,
  };
  return e.number === undefined ? session : and(session, equal(link.payload, 4, e.number, 0xffff));
}

/** A = where the Geneve header begins, from the beginning of the packet. */
function geneveStart(scope: Scope, ip6: boolean): Step[] {
  const header = network(scope.link);
  const udp = 8;
  if (!ip6) return [...ip4HeaderLength(header), [0x87, 0], [0x04, header.k + udp]];
  const k = header.k + 40 + udp;
  return header.slot === undefined
    ? [constant(k)]
    : [
        [0x60, header.slot],
        [0x04, k],
      ];
}

function geneve(scope: Scope, e: Nest): Cond {
  limit(scope, e, 0xff_ffff, 'Geneve VNI');
  const start = scope.keepWord(e);
  const typeAt = scope.keepWord(e);
  const header = scope.keepWord(e);
  const payload = scope.keepWord(e);
  const at = (k: number) => ({ slot: start, k });
  const range = { first: GENEVE_PORT, last: GENEVE_PORT };
  // The port and the place of the Geneve header, for one version of IP.
  const begin = (ip6: boolean, where: At): Cond => {
    const type = ip6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
    const port = ports(scope, [IPPROTO_UDP], 'dst', range, where);
    const found: Cond = { kind: 'effect', steps: [...geneveStart(scope, ip6), [0x02, start]] };
    return and(scope.protocol(type, where), and(port, found));
  };
  const version = equal(at(0), 1, 0, 0xc0);
  const vni = e.number === undefined ? TRUE : equal(at(4), 4, (e.number << 8) >>> 0, 0xffff_ff00);
  // The header has eight bytes and options in words of four.
  const inner: Cond = {
    kind: 'effect',
    steps: [
      [0x61, start],
      [0x50, 0],
      [0x54, 0x3f],
      [0x64, 2],
      [0x04, 8],
      [0x0c, 0],
      [0x02, header],
    ],
  };
  const store = (from: number, plus: number, word: number): Step[] => [
    [0x60, from],
    [0x04, plus],
    [0x02, word],
  ];
  const ethernet: Cond = { kind: 'effect', steps: [...store(header, 12, typeAt), ...store(header, 14, payload)] };
  const bare: Cond = { kind: 'effect', steps: [...store(start, 2, typeAt), ...store(header, 0, payload)] };
  const teb = test(
    [
      [0x61, start],
      [0x48, 2],
    ],
    BPF_JEQ,
    ETHERTYPE_TEB,
  );
  const found = or(begin(false, e), begin(true, e));
  scope.link = {
    type: LINKTYPE_ETHERNET,
    name: 'Geneve',
    header: { slot: header, k: 0 },
    typeAt: { slot: typeAt, k: 0 },
    payload: { slot: payload, k: 0 },
    nl: 0,
    labels: 0,
    tunnel: true,
  };
  return and(found, and(version, and(vni, and(inner, choose(teb, ethernet, bare)))));
}

/** Compiles the test and moves the scope's link layer inside. */
export function nest(scope: Scope, e: Nest): Cond {
  switch (e.what) {
    case 'vlan':
      return vlan(scope, e);
    case 'mpls':
      return mpls(scope, e);
    case 'pppoes':
      return pppoes(scope, e);
    default:
      return geneve(scope, e);
  }
}
