/** Target `REJECT`: drop and answer with an ICMP error or a TCP reset. */
import { rejectTarget as codec, type RejectTarget } from '../../../wire/xt/reject-target.ts';
import { problem } from '../errors.ts';
import type { Extension } from '../extension.ts';

type Kind = readonly [name: string, alias: string, value: number];
const V4: readonly Kind[] = [
  ['icmp-net-unreachable', 'net-unreach', 0],
  ['icmp-host-unreachable', 'host-unreach', 1],
  ['icmp-proto-unreachable', 'proto-unreach', 2],
  ['icmp-port-unreachable', 'port-unreach', 3],
  ['icmp-net-prohibited', 'net-prohib', 5],
  ['icmp-host-prohibited', 'host-prohib', 6],
  ['tcp-reset', 'tcp-rst', 7],
  ['icmp-admin-prohibited', 'admin-prohib', 8],
];
const V6: readonly Kind[] = [
  ['icmp6-no-route', 'no-route', 0],
  ['icmp6-adm-prohibited', 'adm-prohibited', 1],
  ['icmp6-addr-unreachable', 'addr-unreach', 3],
  ['icmp6-port-unreachable', 'port-unreach', 4],
  ['tcp-reset', 'tcp-reset', 6],
  ['icmp6-policy-fail', 'policy-fail', 7],
  ['icmp6-reject-route', 'reject-route', 8],
];
const kinds = (family: 4 | 6): readonly Kind[] => (family === 4 ? V4 : V6);
const nameOf = (s: RejectTarget, family: 4 | 6): string =>
  kinds(family).find(([, , value]) => value === s.with)?.[0] ?? `${s.with}`;

export const REJECT: Extension<RejectTarget> = {
  kind: 'target',
  name: 'REJECT',
  revision: 0,
  codec,
  init(s, ctx) {
    s.with = ctx.family === 4 ? 3 : 4;
  },
  options: [
    {
      name: 'reject-with',
      parse(s, value, _invert, ctx) {
        const word = value.toLowerCase();
        const found = kinds(ctx.family).find(([name, alias]) => name.startsWith(word) || alias.startsWith(word));
        if (found === undefined) throw problem(`unknown reject type "${value}"`);
        s.with = found[2];
      },
    },
  ],
  save: (s, ctx) => ` --reject-with ${nameOf(s, ctx.family)}`,
  print: (s, ctx) => ` reject-with ${nameOf(s, ctx.family)}`,
};
