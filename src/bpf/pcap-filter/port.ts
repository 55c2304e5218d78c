/** `port` and `portrange`. */
import { BPF_JEQ, BPF_JGE, BPF_JGT } from '../insn.ts';
import type { At, Direction, Id, Qualifiers } from './ast.ts';
import { and, beyond, type Cond, equal, load, loadBehindIp4, not, or, type Step, test } from './cond.ts';
import { directed } from './host.ts';
import { ETHERTYPE_IP, ETHERTYPE_IPV6, network } from './link.ts';
import { firstFragment, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from './proto.ts';
import type { Scope } from './scope.ts';

type Range = { readonly first: number; readonly last: number };

const PROTOS: ReadonlyMap<string, readonly number[]> = new Map([
  ['', [IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP]],
  ['tcp', [IPPROTO_TCP]],
  ['udp', [IPPROTO_UDP]],
  ['sctp', [IPPROTO_SCTP]],
]);

function within(steps: readonly Step[], { first, last }: Range): Cond {
  if (first === last) return test(steps, BPF_JEQ, first);
  return and(test(steps, BPF_JGE, first), not(test(steps, BPF_JGT, last)));
}

/** A port of one of these protocols, in IPv6 and IPv4 packets. */
export function ports(scope: Scope, protos: readonly number[], dir: Direction, range: Range, where: At): Cond {
  const header = network(scope.link);
  const any = (field: number, each: Cond): Cond =>
    protos.map((proto) => and(equal(beyond(header, field), 1, proto), each)).reduce((all, one) => or(all, one));
  const at6 = (off: number) => (): Cond => within(load(beyond(header, 40 + off), 2), range);
  const at4 = (off: number) => (): Cond => within(loadBehindIp4(header, off, 2), range);
  const ip6 = and(scope.protocol(ETHERTYPE_IPV6, where), any(6, directed(scope, dir, at6(0), at6(2), where)));
  const ends4 = and(firstFragment(scope), directed(scope, dir, at4(0), at4(2), where));
  return or(ip6, and(scope.protocol(ETHERTYPE_IP, where), any(9, ends4)));
}

/** Number of a port, and the protocols that a name leaves. */
function port(scope: Scope, q: Qualifiers, text: string, where: At): { number: number; protos: readonly number[] } {
  const protos = PROTOS.get(q.proto);
  if (protos === undefined) return scope.fail(`illegal qualifier of '${q.kind}'`, where);
  if (/^(\d+|0x[0-9a-f]+)$/i.test(text)) {
    const number = Number(text);
    if (number > 65535) scope.fail(`illegal port number ${number} > 65535`, where);
    return { number, protos };
  }
  const found = scope.service(text);
  if (found === undefined)
    return scope.fail(q.kind === 'port' ? `unknown port '${text}'` : `unknown port in range '${text}'`, where);
  const { tcp, udp } = found;
  const only = tcp && udp ? undefined : tcp ? 'tcp' : 'udp';
  if (q.proto !== '' && only !== undefined && q.proto !== only) scope.fail(`port '${text}' is ${only}`, where);
  return { number: found.port, protos: q.proto === '' && only !== undefined ? (PROTOS.get(only) ?? protos) : protos };
}

/** `port http`, `portrange 6000-6063`. */
export function portOrRange(scope: Scope, q: Qualifiers, id: Id): Cond {
  if (id.kind !== 'number' && id.kind !== 'name') return scope.fail('a port is a number or a name', id);
  const whole = q.kind === 'portrange' ? splitRange(id.text, (name) => scope.service(name) !== undefined) : [id.text];
  const low = port(scope, q, whole[0], id);
  const high = port(scope, q, whole[1] ?? whole[0], id);
  const same = low.protos.length === high.protos.length && low.protos.every((p, i) => p === high.protos[i]);
  const protos = same ? low.protos : (PROTOS.get(q.proto) ?? low.protos);
  const range = { first: Math.min(low.number, high.number), last: Math.max(low.number, high.number) };
  return ports(scope, protos, q.dir, range, id);
}

/** Both ends of "ftp-data-http": names may have a minus, so the cut that leaves two known ones counts. */
function splitRange(text: string, known: (name: string) => boolean): [string, string?] {
  const fits = (name: string): boolean => /^\d+$/.test(name) || known(name);
  for (let i = text.indexOf('-'); i >= 0; i = text.indexOf('-', i + 1))
    if (fits(text.slice(0, i)) && fits(text.slice(i + 1))) return [text.slice(0, i), text.slice(i + 1)];
  const cut = text.indexOf('-');
  return cut < 0 || known(text) ? [text] : [text.slice(0, cut), text.slice(cut + 1)];
}
