/** Match `ipvs`: properties of the virtual server connection that a packet belongs to. */
import { formatAddress, maskLength } from '../../../wire/address.ts';
import * as V from '../../../wire/xt/ipvs.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { protocolNumber } from '../names.ts';
import { inet, masked, maskText, number, port, union } from '../values.ts';

const METHODS: readonly (readonly [string, number])[] = [
  ['GATE', 3],
  ['IPIP', 2],
  ['MASQ', 0],
];

function portOf(value: string, proto: number): number {
  const found = port(value, proto);
  if (found === undefined) throw problem(`Port "${value}" does not resolve to anything.`);
  return found;
}

function parts(s: V.Ipvs, family: 4 | 6, dash: string): string {
  const not = (bit: number): string => bang(s.invert & bit);
  let out = '';
  if (s.bitmask === V.IPVS_PROPERTY) out += `${not(V.IPVS_PROPERTY)} ${dash}ipvs`;
  if (s.bitmask & V.IPVS_PROTO) out += `${not(V.IPVS_PROTO)} ${dash}vproto ${s.proto}`;
  if (s.bitmask & V.IPVS_ADDRESS) {
    const mask = inet(s.mask, family);
    const full = maskLength(mask) === mask.length * 8;
    out += `${not(V.IPVS_ADDRESS)} ${dash}vaddr ${formatAddress(inet(s.address, family))}${full ? '' : maskText(mask)}`;
  }
  if (s.bitmask & V.IPVS_PORT) out += `${not(V.IPVS_PORT)} ${dash}vport ${s.port}`;
  if (s.bitmask & V.IPVS_DIR) out += ` ${dash}vdir ${s.invert & V.IPVS_DIR ? 'REPLY' : 'ORIGINAL'}`;
  if (s.bitmask & V.IPVS_METHOD)
    out += `${not(V.IPVS_METHOD)} ${dash}vmethod ${METHODS.find(([, code]) => code === s.method)?.[0] ?? 'UNKNOWN'}`;
  if (s.bitmask & V.IPVS_CONTROL_PORT) out += `${not(V.IPVS_CONTROL_PORT)} ${dash}vportctl ${s.controlPort}`;
  return out;
}

export const ipvs: Extension<V.Ipvs> = {
  kind: 'match',
  name: 'ipvs',
  revision: 0,
  codec: V.ipvs,
  options: [
    {
      name: 'ipvs',
      arg: 'none',
      invert: true,
      parse(s, _value, invert) {
        s.bitmask |= V.IPVS_PROPERTY;
        if (invert) s.invert |= V.IPVS_PROPERTY;
      },
    },
    {
      name: 'vproto',
      invert: true,
      parse(s, value, invert) {
        const proto = protocolNumber(value.toLowerCase()) ?? number(value, 255);
        if (proto === undefined) throw problem(`unknown protocol "${value}" specified`);
        s.proto = proto;
        s.bitmask |= V.IPVS_PROTO | V.IPVS_PROPERTY;
        if (invert) s.invert |= V.IPVS_PROTO;
      },
    },
    {
      name: 'vaddr',
      invert: true,
      parse(s, value, invert, ctx) {
        const { address, mask } = masked(value, ctx.family);
        // The host bits of the address stay as they were given.
        s.address = union(masked(value.replace(/\/.*/, ''), ctx.family).address ?? address);
        s.mask = union(mask);
        s.bitmask |= V.IPVS_ADDRESS | V.IPVS_PROPERTY;
        if (invert) s.invert |= V.IPVS_ADDRESS;
      },
    },
    {
      name: 'vport',
      invert: true,
      parse(s, value, invert, ctx) {
        s.port = portOf(value, ctx.proto);
        s.bitmask |= V.IPVS_PORT | V.IPVS_PROPERTY;
        if (invert) s.invert |= V.IPVS_PORT;
      },
    },
    {
      name: 'vdir',
      parse(s, value) {
        const word = value.toUpperCase();
        if (word !== 'ORIGINAL' && word !== 'REPLY') throw problem(`IPVS: bad value for option "--vdir": "${value}"`);
        s.bitmask |= V.IPVS_DIR | V.IPVS_PROPERTY;
        if (word === 'REPLY') s.invert |= V.IPVS_DIR;
      },
    },
    {
      name: 'vmethod',
      invert: true,
      parse(s, value, invert) {
        const found = METHODS.find(([name]) => name === value.toUpperCase());
        if (found === undefined) throw problem(`IPVS: bad value for option "--vmethod": "${value}"`);
        s.method = found[1];
        s.bitmask |= V.IPVS_METHOD | V.IPVS_PROPERTY;
        if (invert) s.invert |= V.IPVS_METHOD;
      },
    },
    {
      name: 'vportctl',
      invert: true,
      parse(s, value, invert, ctx) {
        s.controlPort = portOf(value, ctx.proto);
        s.bitmask |= V.IPVS_CONTROL_PORT | V.IPVS_PROPERTY;
        if (invert) s.invert |= V.IPVS_CONTROL_PORT;
      },
    },
  ],
  check(s) {
    if (s.bitmask === 0) throw problem('IPVS: At least one option is required');
  },
  save: (s, ctx) => parts(s, ctx.family, '--'),
  print: (s, ctx) => parts(s, ctx.family, ''),
};
