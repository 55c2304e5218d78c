/** Targets `SNAT`, `DNAT`, `MASQUERADE`, `REDIRECT`, `NETMAP`: addresses and ports given to a connection. */
import { formatAddress, maskLength } from '../../../wire/address.ts';
import { type NatRange1, natRange1 } from '../../../wire/xt/nat-range1.ts';
import { type NatRange2, natRange2 } from '../../../wire/xt/nat-range2.ts';
import { type NatRange4, natRange4 } from '../../../wire/xt/nat-range4.ts';
import type { Codec } from '../../../wire/xt/struct.ts';
import { problem } from '../errors.ts';
import type { Context, Extension, Option } from '../extension.ts';
import { servicePort } from '../names.ts';
import { address, masked, number, union } from '../values.ts';

const MAP_IPS = 1;
const PROTO = 2;
const RANDOM = 4;
const PERSISTENT = 8;
const RANDOM_FULLY = 16;
const OFFSET = 32;

/** The range in one shape, whatever the structure. */
type Range = {
  flags: number;
  minAddr: Uint8Array;
  maxAddr: Uint8Array;
  minPort: number;
  maxPort: number;
  basePort: number;
};

const zero = (): Range => ({
  flags: 0,
  minAddr: new Uint8Array(16),
  maxAddr: new Uint8Array(16),
  minPort: 0,
  maxPort: 0,
  basePort: 0,
});

/** A codec that shows one of the kernel's three range structures as `Range`. */
function view<T extends object>(inner: Codec<T>, from: (value: T) => Range, to: (range: Range) => T): Codec<Range> {
  return {
    size: inner.size,
    fields: {} as Codec<Range>['fields'],
    offsets: {} as Codec<Range>['offsets'],
    zero,
    encode: (range) => inner.encode(to(range)),
    decode(bytes) {
      const value = inner.decode(bytes);
      return value === undefined ? undefined : from(value);
    },
  };
}

const range4: Codec<Range> = view<NatRange4>(
  natRange4,
  (v) => ({
    ...zero(),
    flags: v.flags,
    minAddr: union(v.minIp),
    maxAddr: union(v.maxIp),
    minPort: v.minPort,
    maxPort: v.maxPort,
  }),
  (r) => ({
    count: 1,
    flags: r.flags,
    minIp: r.minAddr.subarray(0, 4),
    maxIp: r.maxAddr.subarray(0, 4),
    minPort: r.minPort,
    maxPort: r.maxPort,
  }),
);
const range1: Codec<Range> = view<NatRange1>(
  natRange1,
  (v) => ({ ...zero(), ...v }),
  ({ basePort: _, ...r }) => r,
);
const range2: Codec<Range> = view<NatRange2>(
  natRange2,
  (v) => ({ ...v }),
  (r) => ({ ...r }),
);

function needPorts(ctx: Context): void {
  if (![6, 17, 132, 33, 1].includes(ctx.proto) || ctx.protoInvert)
    throw problem('Need TCP, UDP, SCTP or DCCP with port specification');
}

function portNumber(text: string, ctx: Context, from = 1): number | undefined {
  const value = number(text, 65535, from);
  return value ?? servicePort(text, ctx.proto);
}

/** "1000", "1000-2000", "1000-2000/3000". */
function parsePorts(r: Range, text: string, ctx: Context, lowest = 1): void {
  needPorts(ctx);
  const m = /^([^/-]+(?:-[A-Za-z][^/]*)?)(?:-([^/]+))?(?:\/(.+))?$/.exec(text);
  const bad = (word: string): Error => problem(`Port \`${word}' not valid`);
  let first = text;
  let last: string | undefined;
  let base: string | undefined;
  if (servicePort(text, ctx.proto) === undefined && m !== null) [, first, last, base] = m;
  const min = portNumber(first, ctx, lowest);
  if (min === undefined) throw bad(first);
  const max = last === undefined ? min : number(last, 65535, lowest);
  if (max === undefined) throw bad(last ?? '');
  if (max < min) throw problem(`Port range \`${text}' funky\n`);
  r.minPort = min;
  r.maxPort = max;
  r.flags |= PROTO;
  if (base !== undefined) {
    const value = portNumber(base, ctx);
    if (value === undefined) throw bad(base);
    r.basePort = value;
    r.flags |= OFFSET;
  }
}

/** "addr[-addr][:ports]", with "[addr-addr]:ports" for IPv6; the address may be left out before ports. */
function parseTo(r: Range, text: string, ctx: Context, offsets: boolean): void {
  let addresses = text;
  let tail: string | undefined;
  if (ctx.family === 4) {
    const colon = text.indexOf(':');
    if (colon >= 0) {
      addresses = text.slice(0, colon);
      tail = text.slice(colon + 1);
    }
  } else if (text.startsWith('[')) {
    const end = text.indexOf(']');
    if (end < 0) throw problem(`Invalid address format`);
    addresses = text.slice(1, end);
    const rest = text.slice(end + 1);
    if (rest.startsWith(':')) tail = rest.slice(1);
  }
  if (tail !== undefined) parsePorts(r, tail, ctx);
  if (tail !== undefined && !offsets && tail.includes('/')) throw problem(`Port \`${tail}' not valid`);
  if (addresses === '') return;
  const dash = addresses.indexOf('-');
  const part = (word: string): Uint8Array => {
    const found = address(word, ctx.family);
    if (found === undefined) throw problem(`Bad IP address "${word}"`);
    return union(found);
  };
  r.minAddr = part(dash < 0 ? addresses : addresses.slice(0, dash));
  r.maxAddr = dash < 0 ? r.minAddr : part(addresses.slice(dash + 1));
  r.flags |= MAP_IPS;
}

function portsText(r: Range): string {
  let out = `${r.minPort}`;
  if (r.maxPort !== r.minPort) out += `-${r.maxPort}`;
  if (r.flags & OFFSET) out += `/${r.basePort}`;
  return out;
}

function rangeText(r: Range, ctx: Context): string {
  let out = '';
  if (r.flags & MAP_IPS) {
    const size = ctx.family === 4 ? 4 : 16;
    const from = formatAddress(r.minAddr.subarray(0, size));
    const to = formatAddress(r.maxAddr.subarray(0, size));
    out = from === to ? from : `${from}-${to}`;
    if (ctx.family === 6 && r.flags & PROTO) out = `[${out}]`;
  }
  if (r.flags & PROTO) out += `:${portsText(r)}`;
  return out;
}

const FLAG_OPTIONS: readonly (readonly [string, number])[] = [
  ['random', RANDOM],
  ['random-fully', RANDOM_FULLY],
  ['persistent', PERSISTENT],
];

function flagOptions(...names: string[]): Option<Range>[] {
  return FLAG_OPTIONS.filter(([name]) => names.includes(name)).map(([name, bit]) => ({
    name,
    arg: 'none',
    parse(r) {
      r.flags |= bit;
    },
  }));
}

function flagText(r: Range, prefix: string): string {
  return FLAG_OPTIONS.filter(([, bit]) => r.flags & bit)
    .map(([name]) => ` ${prefix}${name}`)
    .join('');
}

function translate(name: 'SNAT' | 'DNAT', family: 4 | 6): Extension<Range> {
  const option = name === 'SNAT' ? 'to-source' : 'to-destination';
  const dnat = name === 'DNAT';
  return {
    kind: 'target',
    name,
    revision: dnat ? 2 : family === 4 ? 0 : 1,
    family,
    codec: dnat ? range2 : family === 4 ? range4 : range1,
    options: [
      { name: option, mandatory: true, parse: (r, value, _invert, ctx) => parseTo(r, value, ctx, dnat) },
      ...flagOptions('random', 'persistent', ...(dnat ? [] : ['random-fully'])),
    ],
    save: (r, ctx) => ` --${option} ${rangeText(r, ctx)}${flagText(r, '--')}`,
    print: (r, ctx) => ` to:${rangeText(r, ctx)}${flagText(r, '')}`,
  };
}

function toPorts(name: 'MASQUERADE' | 'REDIRECT', family: 4 | 6): Extension<Range> {
  const lowest = name === 'REDIRECT' ? 0 : 0;
  return {
    kind: 'target',
    name,
    revision: 0,
    family,
    codec: family === 4 ? range4 : range1,
    options: [
      {
        name: 'to-ports',
        parse(r, value, _invert, ctx) {
          parsePorts(r, value, ctx, lowest);
          if (r.flags & OFFSET) throw problem(`Port \`${value}' not valid`);
        },
      },
      ...flagOptions('random', ...(name === 'MASQUERADE' ? ['random-fully'] : [])),
    ],
    save: (r) => `${r.flags & PROTO ? ` --to-ports ${portsText(r)}` : ''}${flagText(r, '--')}`,
    print(r) {
      const label = name === 'MASQUERADE' ? ' masq ports: ' : ' redir ports ';
      return `${r.flags & PROTO ? label + portsText(r) : ''}${flagText(r, '')}`;
    },
  };
}

/** NETMAP keeps the network in `min` and network plus host bits in `max` (IPv4) or the inverse mask's end (IPv6). */
function netmap(family: 4 | 6): Extension<Range> {
  const size = family === 4 ? 4 : 16;
  const maskOf = (r: Range): Uint8Array => r.minAddr.subarray(0, size).map((byte, i) => ~(byte ^ r.maxAddr[i]));
  const text = (r: Range): string => {
    const mask = maskOf(r);
    const length = maskLength(mask);
    return `${formatAddress(r.minAddr.subarray(0, size))}/${length >= 0 ? length : formatAddress(mask)}`;
  };
  return {
    kind: 'target',
    name: 'NETMAP',
    revision: 0,
    family,
    codec: family === 4 ? range4 : range1,
    options: [
      {
        name: 'to',
        mandatory: true,
        parse(r, value, _invert, ctx) {
          const { address: net, mask } = masked(value, ctx.family);
          r.minAddr = union(net);
          r.maxAddr = union(net.map((byte, i) => byte | (~mask[i] & 0xff)));
          r.flags |= MAP_IPS;
        },
      },
    ],
    save: (r) => ` --to ${text(r)}`,
    print: (r) => ` to:${text(r)}`,
  };
}

export const NAT_TARGETS: readonly Extension<Range>[] = ([4, 6] as const).flatMap((family) => [
  translate('SNAT', family),
  translate('DNAT', family),
  toPorts('MASQUERADE', family),
  toPorts('REDIRECT', family),
  netmap(family),
]);
