/** A rule as the expressions that iptables-nft 1.8.9 sends: native where it has a native form, xt matches otherwise. */
import * as U from '../../wire/uapi/nf-tables.ts';
import type { Limit } from '../../wire/xt/limit.ts';
import type { Mark } from '../../wire/xt/mark.ts';
import type { NflogTarget } from '../../wire/xt/nflog-target.ts';
import type { Tcp } from '../../wire/xt/tcp.ts';
import type { Udp } from '../../wire/xt/udp.ts';
import type { KernelExpr } from '../nft/expr/types.ts';
import { rateOf, SCALE } from './ext/limit.ts';
import type { Use } from './extension.ts';
import type { AddressMatch, InterfaceMatch, Rule } from './rule.ts';
import { U32_MAX } from './values.ts';

const REG = U.NFT_REG_1;
const utf8 = new TextEncoder();

function cmp(invert: boolean, data: Uint8Array): KernelExpr {
  return { name: 'cmp', sreg: REG, op: invert ? U.NFT_CMP_NEQ : U.NFT_CMP_EQ, data };
}
function payload(base: number, offset: number, len: number): KernelExpr {
  return { name: 'payload', dreg: REG, base, offset, len };
}
function bitwise(mask: Uint8Array): KernelExpr {
  return { name: 'bitwise', sreg: REG, dreg: REG, len: mask.length, op: 0, mask, xor: new Uint8Array(mask.length) };
}
const be16 = (...values: number[]): Uint8Array => Uint8Array.from(values.flatMap((v) => [v >> 8, v & 0xff]));
function le32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value >>> 0, true);
  return out;
}

function device(out: KernelExpr[], key: number, match: InterfaceMatch | undefined): void {
  if (match === undefined) return;
  out.push({ name: 'meta', key, dreg: REG });
  const { name, invert } = match;
  if (!name.endsWith('+')) out.push(cmp(invert, utf8.encode(`${name}\0`)));
  else if (name.length > 1) out.push(cmp(invert, utf8.encode(name.slice(0, -1))));
  // "not any interface" never matches: a name that no interface can have.
  else if (invert) out.push(cmp(false, utf8.encode('INVAL/D\0')));
}

function address(out: KernelExpr[], offset: number, match: AddressMatch | undefined): void {
  if (match === undefined) return;
  const { address: bytes, mask, invert } = match;
  const full = mask.findIndex((byte) => byte !== 0xff);
  const lead = full < 0 ? mask.length : full;
  const whole = mask.subarray(lead).every((byte) => byte === 0);
  if (lead === 0 && whole && !invert) return;
  // A prefix of whole bytes needs no mask: fewer bytes are loaded instead.
  const len = whole ? lead : mask.length;
  out.push(payload(U.NFT_PAYLOAD_NETWORK_HEADER, offset, len));
  if (!whole) out.push(bitwise(mask));
  out.push(cmp(invert, bytes.subarray(0, len)));
}

function ports(out: KernelExpr[], offset: number, range: readonly number[], invert: boolean): void {
  if (range[0] === 0 && range[1] === 65535 && !invert) return;
  out.push(payload(U.NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2));
  if (range[0] === range[1]) out.push(cmp(invert, be16(range[0])));
  else
    out.push({
      name: 'range',
      sreg: REG,
      op: invert ? U.NFT_RANGE_NEQ : U.NFT_RANGE_EQ,
      from: be16(range[0]),
      to: be16(range[1]),
    });
}

function bothPorts(out: KernelExpr[], s: Tcp | Udp): void {
  const src = (s.invert & 1) !== 0;
  const dst = (s.invert & 2) !== 0;
  if (src === dst && s.spts[0] === s.spts[1] && s.dpts[0] === s.dpts[1]) {
    out.push(payload(U.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4), cmp(src, be16(s.spts[0], s.dpts[0])));
    return;
  }
  ports(out, 0, s.spts, src);
  ports(out, 2, s.dpts, dst);
}

const noPorts = (s: Tcp | Udp): boolean =>
  s.spts[0] === 0 && s.spts[1] === 65535 && s.dpts[0] === 0 && s.dpts[1] === 65535 && !(s.invert & 3);

/** The native form of a match, or undefined when it has none. */
function native(use: Use): KernelExpr[] | undefined {
  const out: KernelExpr[] = [];
  switch (use.ext.name) {
    case 'tcp': {
      const s = use.state as Tcp;
      const flags = s.flagMask !== 0 || (s.invert & 4) !== 0;
      if (s.option !== 0 || s.invert & 8 || (noPorts(s) && !flags)) return undefined;
      if (flags)
        out.push(
          payload(U.NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1),
          bitwise(Uint8Array.of(s.flagMask)),
          cmp((s.invert & 4) !== 0, Uint8Array.of(s.flagCmp)),
        );
      bothPorts(out, s);
      return out;
    }
    case 'udp': {
      const s = use.state as Udp;
      if (noPorts(s)) return undefined;
      bothPorts(out, s);
      return out;
    }
    case 'mark': {
      const s = use.state as Mark;
      out.push({ name: 'meta', key: U.NFT_META_MARK, dreg: REG });
      if (s.mask !== U32_MAX) out.push(bitwise(le32(s.mask)));
      out.push(cmp(s.invert !== 0, le32(s.mark)));
      return out;
    }
    case 'limit': {
      const s = use.state as Limit;
      const { rate, unit } = rateOf(s.avg, SCALE);
      return [
        { name: 'limit', rate: BigInt(rate), unit: BigInt(unit), burst: s.burst, type: U.NFT_LIMIT_PKTS, flags: 0 },
      ];
    }
    default:
      return undefined;
  }
}

const VERDICTS: Readonly<Record<string, number>> = { ACCEPT: 1, DROP: 0, RETURN: U.NFT_RETURN };

function target(rule: Rule): KernelExpr[] {
  const t = rule.target;
  if (t === undefined) return [];
  if ('verdict' in t)
    return [{ name: 'immediate', dreg: U.NFT_REG_VERDICT, data: { verdict: { code: VERDICTS[t.verdict] } } }];
  if ('chain' in t) {
    const code = t.goto ? U.NFT_GOTO : U.NFT_JUMP;
    return [{ name: 'immediate', dreg: U.NFT_REG_VERDICT, data: { verdict: { code, chain: t.chain } } }];
  }
  const { ext, state } = t.use;
  if (ext.name === 'TRACE')
    return [
      { name: 'immediate', dreg: U.NFT_REG32_01, data: { value: Uint8Array.of(1) } },
      { name: 'meta', key: U.NFT_META_NFTRACE, sreg: U.NFT_REG32_01 },
    ];
  if (ext.name === 'NFLOG') {
    const s = state as NflogTarget;
    return [
      {
        name: 'log',
        group: s.group,
        ...(s.prefix !== '' && { prefix: s.prefix }),
        ...(s.flags & 1 && s.len !== 0 && { snaplen: s.len }),
        ...(s.threshold && { qthreshold: s.threshold }),
      },
    ];
  }
  return [{ name: 'target', xt: ext.realName ?? ext.name, rev: ext.revision, info: ext.codec.encode(state) }];
}

/** The expressions of a rule, in the order iptables-nft writes them. */
export function toKernel(rule: Rule): KernelExpr[] {
  const out: KernelExpr[] = [];
  device(out, U.NFT_META_IIFNAME, rule.iif);
  device(out, U.NFT_META_OIFNAME, rule.oif);
  if (rule.proto !== 0 || rule.protoInvert)
    out.push({ name: 'meta', key: U.NFT_META_L4PROTO, dreg: REG }, cmp(rule.protoInvert, Uint8Array.of(rule.proto)));
  address(out, rule.family === 4 ? 12 : 8, rule.src);
  address(out, rule.family === 4 ? 16 : 24, rule.dst);
  if (rule.fragment !== 0)
    out.push(
      payload(U.NFT_PAYLOAD_NETWORK_HEADER, 6, 2),
      bitwise(Uint8Array.of(0x1f, 0xff)),
      cmp(rule.fragment > 0, Uint8Array.of(0, 0)),
    );
  for (const use of rule.matches)
    out.push(
      ...(native(use) ?? [
        {
          name: 'match',
          xt: use.ext.realName ?? use.ext.name,
          rev: use.ext.revision,
          info: use.ext.codec.encode(use.state),
        } as const,
      ]),
    );
  out.push({ name: 'counter', packets: rule.packets, bytes: rule.bytes });
  out.push(...target(rule));
  return out;
}
