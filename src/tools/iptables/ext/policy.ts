/** Match `policy`: IPsec policy of a packet. */
import { formatAddress, maskLength } from '../../../wire/address.ts';
import { policy as codec, type Policy, type PolicyElement } from '../../../wire/xt/policy.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension, hex, type Option } from '../extension.ts';
import { protocolName, protocolNumber } from '../names.ts';
import { inet, masked, number, uint, union } from '../values.ts';

const IN = 1;
const OUT = 2;
const NONE = 4;
const STRICT = 8;
const SADDR = 1;
const DADDR = 2;
const PROTO = 4;
const MODE = 8;
const SPI = 16;
const REQID = 32;

const current = (s: Policy): PolicyElement => s.pol[s.len];

function element(
  name: string,
  bit: number,
  set: (e: PolicyElement, value: string, ctx: Context) => void,
): Option<Policy> {
  return {
    name,
    invert: true,
    many: true,
    parse(s, value, invert, ctx) {
      const e = current(s);
      if (e.match & bit) throw problem(`policy: option "--${name}" can only be used once.`);
      set(e, value, ctx);
      e.match |= bit;
      if (invert) e.invert |= bit;
    },
  };
}

function address(e: PolicyElement, key: 's' | 'd', ctx: Context): string {
  const mask = inet(e[`${key}mask`], ctx.family);
  const length = maskLength(mask);
  return `${formatAddress(inet(e[`${key}addr`], ctx.family))}/${length >= 0 ? length : formatAddress(mask)}`;
}

function elementText(e: PolicyElement, ctx: Context, prefix: string): string {
  let out = '';
  const no = (bit: number): string => bang(e.invert & bit);
  if (e.match & REQID) out += `${no(REQID)} ${prefix}reqid ${e.reqid}`;
  if (e.match & SPI) out += `${no(SPI)} ${prefix}spi ${hex(e.spi)}`;
  if (e.match & PROTO) out += `${no(PROTO)} ${prefix}proto ${protocolName(e.proto) ?? e.proto}`;
  if (e.match & MODE) out += `${no(MODE)} ${prefix}mode ${e.mode ? 'tunnel' : 'transport'}`;
  if (e.match & DADDR) out += `${no(DADDR)} ${prefix}tunnel-dst ${address(e, 'd', ctx)}`;
  if (e.match & SADDR) out += `${no(SADDR)} ${prefix}tunnel-src ${address(e, 's', ctx)}`;
  return out;
}

function text(s: Policy, ctx: Context, prefix: string): string {
  let out = ` ${prefix}dir ${s.flags & IN ? 'in' : 'out'} ${prefix}pol ${s.flags & NONE ? 'none' : 'ipsec'}`;
  if (s.flags & STRICT) out += ` ${prefix}strict`;
  for (let i = 0; i < s.len; i++) {
    if (i > 0) out += ` ${prefix}next`;
    out += elementText(s.pol[i], ctx, prefix);
  }
  return out;
}

export const policy: Extension<Policy> = {
  kind: 'match',
  name: 'policy',
  revision: 0,
  codec,
  options: [
    {
      name: 'dir',
      parse(s, value) {
        if (value !== 'in' && value !== 'out') throw problem(`policy_match: invalid dir \`${value}'`);
        s.flags |= value === 'in' ? IN : OUT;
      },
    },
    {
      name: 'pol',
      parse(s, value) {
        if (value !== 'none' && value !== 'ipsec') throw problem(`policy match: invalid policy \`${value}'`);
        if (value === 'none') s.flags |= NONE;
      },
    },
    {
      name: 'strict',
      arg: 'none',
      parse(s) {
        s.flags |= STRICT;
      },
    },
    element('reqid', REQID, (e, value, ctx) => {
      e.reqid = uint(ctx, value);
    }),
    element('spi', SPI, (e, value, ctx) => {
      e.spi = uint(ctx, value);
    }),
    element('proto', PROTO, (e, value) => {
      const proto = protocolNumber(value) ?? number(value, 255);
      if (proto !== 50 && proto !== 51 && proto !== 108) throw problem('policy match: protocol must be ah/esp/ipcomp');
      e.proto = proto;
    }),
    element('mode', MODE, (e, value) => {
      if (value !== 'tunnel' && value !== 'transport') throw problem(`policy match: invalid mode \`${value}'`);
      e.mode = value === 'tunnel' ? 1 : 0;
    }),
    element('tunnel-src', SADDR, (e, value, ctx) => {
      const { address: bytes, mask } = masked(value, ctx.family);
      e.saddr = union(bytes);
      e.smask = union(mask);
    }),
    element('tunnel-dst', DADDR, (e, value, ctx) => {
      const { address: bytes, mask } = masked(value, ctx.family);
      e.daddr = union(bytes);
      e.dmask = union(mask);
    }),
    {
      name: 'next',
      arg: 'none',
      many: true,
      parse(s) {
        if (++s.len >= 4) throw problem('policy match: maximum policy depth reached');
      },
    },
  ],
  check(s, ctx) {
    if (!(s.flags & (IN | OUT))) throw problem('policy match: neither --dir in nor --dir out specified');
    const used = current(s).match !== 0 || s.len > 0 || ctx.seen.has('next');
    if (s.flags & NONE) {
      if (s.flags & STRICT) throw problem('policy match: policy none but --strict given');
      if (used) throw problem('policy match: policy none but policy given');
    }
    if (!(s.flags & NONE)) s.len++;
    if (!(s.flags & STRICT) && s.len > 1) throw problem('policy match: multiple elements but no --strict');
    for (let i = 0; i < s.len; i++) {
      const e = s.pol[i];
      if (s.flags & STRICT && !(e.match & (REQID | SPI | SADDR | DADDR | PROTO | MODE)))
        throw problem(
          `policy match: empty policy element ${i}. --strict is in effect, but at least one of reqid, spi, tunnel-src, tunnel-dst, proto or mode is required.`,
        );
      if (e.match & (SADDR | DADDR) && !(e.match & MODE && e.mode === 1))
        throw problem('policy match: --tunnel-src/--tunnel-dst is only valid in tunnel mode');
    }
  },
  save: (s, ctx) => text(s, ctx, '--'),
  print: (s, ctx) => ` policy match${text(s, ctx, '')}`,
};
