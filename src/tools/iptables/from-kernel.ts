/** Expressions of a rule read back as an iptables rule. What iptables could not have written makes the rule `foreign`. */

import { netmask } from '../../wire/address.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import type { Limit } from '../../wire/xt/limit.ts';
import type { Mark } from '../../wire/xt/mark.ts';
import type { NflogTarget } from '../../wire/xt/nflog-target.ts';
import type { Tcp } from '../../wire/xt/tcp.ts';
import type { Udp } from '../../wire/xt/udp.ts';
import type { KernelExpr } from '../nft/expr/types.ts';
import { SCALE } from './ext/limit.ts';
import { findByKernel, findExtension } from './extensions.ts';
import { emptyRule, type InterfaceMatch, type Rule } from './rule.ts';
import { U32_MAX } from './values.ts';

type Load = Extract<KernelExpr, { name: 'meta' | 'payload' }>;
const fromUtf8 = new TextDecoder();

/** What has been loaded into the register, and the mask laid over it. */
type Pending = { load: Load; mask: Uint8Array | undefined };

function push(rule: Rule, name: string, kind: 'match' | 'target' = 'match'): object | undefined {
  const ext = findExtension(kind, name, rule.family);
  if (ext === undefined) return undefined;
  const state = ext.codec.zero();
  if (kind === 'match') rule.matches.push({ ext, state });
  else rule.target = { use: { ext, state } };
  return state;
}

/** The rule's tcp or udp match, made when the first port or flag comes. */
function transport(rule: Rule): Tcp | Udp | undefined {
  const name = rule.proto === 6 ? 'tcp' : rule.proto === 17 ? 'udp' : undefined;
  if (name === undefined) return undefined;
  const found = rule.matches.find((use) => use.ext.name === name);
  if (found !== undefined) return found.state as Tcp | Udp;
  const state = push(rule, name) as Tcp | Udp;
  state.spts = [0, 65535];
  state.dpts = [0, 65535];
  return state;
}

const u16 = (bytes: Uint8Array, at = 0): number => (bytes[at] << 8) | bytes[at + 1];
const u32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);

function interfaceOf(data: Uint8Array, invert: boolean): InterfaceMatch {
  const exact = data[data.length - 1] === 0;
  const end = data.indexOf(0);
  const text = fromUtf8.decode(end < 0 ? data : data.subarray(0, end));
  if (text === 'INVAL/D') return { name: '+', invert: !invert };
  return { name: exact ? text : `${text}+`, invert };
}

function setAddress(rule: Rule, pending: Pending, data: Uint8Array, invert: boolean): boolean {
  const { load, mask } = pending;
  if (load.name !== 'payload') return false;
  const size = rule.family === 4 ? 4 : 16;
  const key =
    load.offset === (rule.family === 4 ? 12 : 8)
      ? 'src'
      : load.offset === (rule.family === 4 ? 16 : 24)
        ? 'dst'
        : undefined;
  if (key === undefined || load.len > size) return false;
  const address = new Uint8Array(size);
  address.set(data);
  rule[key] = { address, mask: mask ?? netmask(load.len * 8, size), invert };
  return true;
}

function compare(rule: Rule, pending: Pending, data: Uint8Array, invert: boolean): boolean {
  const { load, mask } = pending;
  if (load.name === 'meta') {
    switch (load.key) {
      case U.NFT_META_IIFNAME:
        rule.iif = interfaceOf(data, invert);
        return true;
      case U.NFT_META_OIFNAME:
        rule.oif = interfaceOf(data, invert);
        return true;
      case U.NFT_META_L4PROTO:
        rule.proto = data[0];
        rule.protoInvert = invert;
        return true;
      case U.NFT_META_MARK: {
        const s = push(rule, 'mark') as Mark | undefined;
        if (s === undefined || data.length < 4) return false;
        s.mark = u32(data);
        s.mask = mask === undefined ? U32_MAX : u32(mask);
        s.invert = invert ? 1 : 0;
        return true;
      }
    }
    return false;
  }
  if (load.base === U.NFT_PAYLOAD_NETWORK_HEADER) {
    if (rule.family === 4 && load.offset === 6 && load.len === 2 && mask !== undefined) {
      rule.fragment = invert ? 1 : -1;
      return true;
    }
    if (rule.family === 4 && load.offset === 9 && load.len === 1) {
      rule.proto = data[0];
      rule.protoInvert = invert;
      return true;
    }
    return setAddress(rule, pending, data, invert);
  }
  if (load.base !== U.NFT_PAYLOAD_TRANSPORT_HEADER) return false;
  const s = transport(rule);
  if (s === undefined) return false;
  if (load.offset === 13 && load.len === 1 && 'flagMask' in s) {
    s.flagMask = mask?.[0] ?? 0xff;
    s.flagCmp = data[0];
    if (invert) s.invert |= 4;
    return true;
  }
  if (load.offset === 0) {
    s.spts = [u16(data), u16(data)];
    if (invert) s.invert |= 1;
    if (load.len === 2) return true;
  }
  if (load.offset + load.len !== 4) return false;
  const at = 2 - load.offset;
  s.dpts = [u16(data, at), u16(data, at)];
  if (invert) s.invert |= 2;
  return true;
}

function between(rule: Rule, pending: Pending, from: Uint8Array, to: Uint8Array, invert: boolean): boolean {
  const { load } = pending;
  if (load.name !== 'payload' || load.base !== U.NFT_PAYLOAD_TRANSPORT_HEADER || load.len !== 2) return false;
  const s = transport(rule);
  if (s === undefined || (load.offset !== 0 && load.offset !== 2)) return false;
  s[load.offset === 0 ? 'spts' : 'dpts'] = [u16(from), u16(to)];
  if (invert) s.invert |= load.offset === 0 ? 1 : 2;
  return true;
}

function verdict(rule: Rule, code: number, chain: string | undefined): boolean {
  if (code === U.NFT_JUMP || code === U.NFT_GOTO) rule.target = { chain: chain ?? '', goto: code === U.NFT_GOTO };
  else if (code === 1) rule.target = { verdict: 'ACCEPT' };
  else if (code === 0) rule.target = { verdict: 'DROP' };
  else if (code === U.NFT_RETURN) rule.target = { verdict: 'RETURN' };
  else return false;
  return true;
}

function extension(rule: Rule, kind: 'match' | 'target', name: string, rev: number, info: Uint8Array): boolean {
  const found = findByKernel(kind, name, rev, rule.family, info);
  if (found === undefined) return false;
  if (kind === 'match') rule.matches.push(found);
  else rule.target = { use: found };
  return true;
}

function limit(rule: Rule, e: Extract<KernelExpr, { name: 'limit' }>): boolean {
  const s = push(rule, 'limit') as Limit | undefined;
  if (s === undefined || e.rate === 0n) return false;
  s.avg = Number((BigInt(SCALE) * e.unit) / e.rate);
  s.burst = e.burst;
  return e.flags === 0 && e.type === U.NFT_LIMIT_PKTS;
}

function nflog(rule: Rule, e: Extract<KernelExpr, { name: 'log' }>): boolean {
  const s = push(rule, 'NFLOG', 'target') as NflogTarget | undefined;
  if (s === undefined) return false;
  s.group = e.group ?? 0;
  s.prefix = e.prefix ?? '';
  s.threshold = e.qthreshold ?? 0;
  s.len = e.snaplen ?? 0;
  s.flags = s.len ? 1 : 0;
  return true;
}

/** Reads a rule. */
export function fromKernel(exprs: readonly KernelExpr[], family: 4 | 6): Rule {
  const rule = emptyRule(family);
  let pending: Pending | undefined;
  for (const e of exprs) {
    let ok = true;
    switch (e.name) {
      case 'meta':
        if (e.sreg === undefined) pending = { load: e, mask: undefined };
        else ok = e.key === U.NFT_META_NFTRACE && push(rule, 'TRACE', 'target') !== undefined;
        break;
      case 'payload':
        pending = { load: e, mask: undefined };
        break;
      case 'bitwise':
        if (pending !== undefined) pending.mask = e.mask;
        break;
      case 'cmp':
        ok = pending !== undefined && e.op <= U.NFT_CMP_NEQ && compare(rule, pending, e.data, e.op === U.NFT_CMP_NEQ);
        break;
      case 'range':
        ok = pending !== undefined && between(rule, pending, e.from, e.to, e.op === U.NFT_RANGE_NEQ);
        break;
      case 'counter':
        rule.packets = e.packets;
        rule.bytes = e.bytes;
        break;
      case 'immediate':
        if ('verdict' in e.data) ok = verdict(rule, e.data.verdict.code, e.data.verdict.chain);
        break;
      case 'limit':
        ok = limit(rule, e);
        break;
      case 'log':
        ok = nflog(rule, e);
        break;
      case 'match':
      case 'target':
        ok = extension(rule, e.name, e.xt, e.rev, e.info);
        break;
      default:
        ok = false;
    }
    if (!ok) rule.foreign = true;
  }
  return rule;
}
