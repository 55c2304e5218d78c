/**
 * Reads the text that `nft --debug=netlink` prints back into expressions, so that recorded bytecode can be listed.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { KernelExpr } from '../expr/types.ts';
import { ctKeys, metaKeys, rtKeys, socketKeys } from '../keys.ts';

/** Words of 32 bits, little-endian in memory, to the bytes of `length` (or all). */
function words(text: string, length?: number): Uint8Array {
  const list = text
    .trim()
    .split(/\s+/)
    .filter((w) => w.startsWith('0x'))
    .map((w) => Number(w));
  const out = new Uint8Array(list.length * 4);
  const dv = new DataView(out.buffer);
  list.forEach((w, i) => {
    dv.setUint32(i * 4, w, true);
  });
  return length === undefined ? out : out.slice(0, length);
}

const BASES: Readonly<Record<string, number>> = { link: 0, network: 1, transport: 2, inner: 3 };
const CMP: Readonly<Record<string, number>> = { eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 };

/** The expressions of a rule's lines. Lengths of constants are taken from the loads they are compared with. */
export function parseDebug(lines: readonly string[]): KernelExpr[] {
  const lengths = new Map<number, number>();
  return lines.map((line) =>
    parseLine(
      line
        .trim()
        .replace(/^\[\s*/, '')
        .replace(/\s*\]$/, ''),
      lengths,
    ),
  );
}

function lengthOf(lengths: ReadonlyMap<number, number>, reg: number): number | undefined {
  return lengths.get(reg);
}

function parseLine(line: string, lengths: Map<number, number>): KernelExpr {
  let m = /^payload load (\d+)b @ (\w+) header \+ (\d+) => reg (\d+)$/.exec(line);
  if (m) {
    lengths.set(Number(m[4]), Number(m[1]));
    return { name: 'payload', dreg: Number(m[4]), base: BASES[m[2]], offset: Number(m[3]), len: Number(m[1]) };
  }
  m =
    /^payload write reg (\d+) => (\d+)b @ (\w+) header \+ (\d+) csum_type (\d+) csum_off (\d+) csum_flags (0x\w+)$/.exec(
      line,
    );
  if (m) {
    return {
      name: 'payload',
      sreg: Number(m[1]),
      len: Number(m[2]),
      base: BASES[m[3]],
      offset: Number(m[4]),
      csumType: Number(m[5]),
      csumOffset: Number(m[6]),
      csumFlags: Number(m[7]),
    };
  }
  m = /^meta load (\S+) => reg (\d+)$/.exec(line);
  if (m) {
    const name = META_NAMES[m[1]] ?? m[1];
    const key = metaKeys.find((k) => k.name === name);
    if (key) {
      lengths.set(Number(m[2]), (key.len + 7) >> 3);
      return { name: 'meta', key: key.key, dreg: Number(m[2]) };
    }
  }
  m = /^meta set (\S+) with reg (\d+)$/.exec(line);
  if (m) {
    const name = META_NAMES[m[1]] ?? m[1];
    const key = metaKeys.find((k) => k.name === name);
    if (key) return { name: 'meta', key: key.key, sreg: Number(m[2]) };
  }
  m = /^ct load (\S+) => reg (\d+)(?: , dir (original|reply))?$/.exec(line);
  if (m) {
    const key = ctKeys.find((k) => k.name === (CT_NAMES[m![1]] ?? m![1]));
    if (key) {
      lengths.set(Number(m[2]), key.len >> 3);
      return {
        name: 'ct',
        key: key.key,
        dreg: Number(m[2]),
        direction: m[3] === undefined ? undefined : m[3] === 'original' ? 0 : 1,
      };
    }
  }
  m = /^ct set (\S+) with reg (\d+)(?: , dir (original|reply))?$/.exec(line);
  if (m) {
    const key = ctKeys.find((k) => k.name === (CT_NAMES[m![1]] ?? m![1]));
    if (key)
      return {
        name: 'ct',
        key: key.key,
        sreg: Number(m[2]),
        direction: m[3] === undefined ? undefined : m[3] === 'original' ? 0 : 1,
      };
  }
  m = /^cmp (eq|neq|lt|lte|gt|gte) reg (\d+) (.*)$/.exec(line);
  if (m) return { name: 'cmp', sreg: Number(m[2]), op: CMP[m[1]], data: words(m[3], lengthOf(lengths, Number(m[2]))) };
  m = /^range (eq|neq) reg (\d+) (.*)$/.exec(line);
  if (m) {
    const all = words(m[3]);
    const half = all.length / 2;
    const length = lengthOf(lengths, Number(m[2])) ?? half;
    return {
      name: 'range',
      sreg: Number(m[2]),
      op: m[1] === 'eq' ? 0 : 1,
      from: all.slice(0, length),
      to: all.slice(half, half + length),
    };
  }
  m = /^bitwise reg (\d+) = \( reg (\d+) & (.*?) \) \^ (.*)$/.exec(line);
  if (m) {
    const len = lengthOf(lengths, Number(m[2])) ?? words(m[3]).length;
    lengths.set(Number(m[1]), len);
    return {
      name: 'bitwise',
      dreg: Number(m[1]),
      sreg: Number(m[2]),
      len,
      op: 0,
      mask: words(m[3], len),
      xor: words(m[4], len),
    };
  }
  m = /^bitwise reg (\d+) = \( reg (\d+) (<<|>>) (0x\w+) \)$/.exec(line);
  if (m) {
    return {
      name: 'bitwise',
      dreg: Number(m[1]),
      sreg: Number(m[2]),
      len: lengthOf(lengths, Number(m[2])) ?? 4,
      op: m[3] === '<<' ? 1 : 2,
      data: words(m[4]),
    };
  }
  m = /^immediate reg 0 (\w+)(?: -> (\S+))?$/.exec(line);
  if (m) {
    const codes: Readonly<Record<string, number>> = {
      accept: 1,
      drop: 0,
      continue: -1,
      break: -2,
      jump: -3,
      goto: -4,
      return: -5,
    };
    return { name: 'immediate', dreg: 0, data: { verdict: { code: codes[m[1]], ...(m[2] && { chain: m[2] }) } } };
  }
  m = /^immediate reg (\d+) (.*)$/.exec(line);
  if (m) {
    const bytes = words(m[2]);
    lengths.set(Number(m[1]), bytes.length);
    return { name: 'immediate', dreg: Number(m[1]), data: { value: bytes } };
  }
  m = /^lookup reg (\d+) set (\S+)(?: dreg (\d+))?(?: (0x\w+))?$/.exec(line);
  if (m)
    return {
      name: 'lookup',
      sreg: Number(m[1]),
      set: m[2],
      dreg: m[3] === undefined ? undefined : Number(m[3]),
      flags: Number(m[4] ?? 0),
    };
  m = /^counter pkts (\d+) bytes (\d+)$/.exec(line);
  if (m) return { name: 'counter', packets: BigInt(m[1]), bytes: BigInt(m[2]) };
  m = /^byteorder reg (\d+) = (hton|ntoh)\(reg (\d+), (\d+), (\d+)\)$/.exec(line);
  if (m) {
    lengths.set(Number(m[1]), Number(m[5]));
    return {
      name: 'byteorder',
      dreg: Number(m[1]),
      sreg: Number(m[3]),
      op: m[2] === 'ntoh' ? 0 : 1,
      size: Number(m[4]),
      len: Number(m[5]),
    };
  }
  m = /^rt load (\S+) => reg (\d+)$/.exec(line);
  if (m) {
    const key = rtKeys.find(
      (k) =>
        k.name === m![1] ||
        (m![1] === 'nexthop4' && k.key === U.NFT_RT_NEXTHOP4) ||
        (m![1] === 'nexthop6' && k.key === U.NFT_RT_NEXTHOP6) ||
        (m![1] === 'tcpmss' && k.key === U.NFT_RT_TCPMSS),
    );
    if (key) {
      lengths.set(Number(m[2]), key.len >> 3);
      return { name: 'rt', key: key.key, dreg: Number(m[2]) };
    }
  }
  m = /^socket load (\S+) => reg (\d+)/.exec(line);
  if (m) {
    const key = socketKeys.find((k) => k.name === m![1]);
    if (key) {
      lengths.set(Number(m[2]), key.len >> 3);
      return { name: 'socket', key: key.key, dreg: Number(m[2]) };
    }
  }
  m = /^reject type (\d+) code (\d+)$/.exec(line);
  if (m) return { name: 'reject', type: Number(m[1]), code: Number(m[2]) };
  if (line === 'notrack') return { name: 'notrack' };
  return { name: 'other', kernel: line, data: new Uint8Array(0) };
}

const META_NAMES: Readonly<Record<string, string>> = {
  len: 'length',
  bri_iifname: 'ibrname',
  bri_oifname: 'obrname',
  prandom: 'random',
  cpuid: 'cpu',
};
const CT_NAMES: Readonly<Record<string, string>> = {
  label: 'label',
  src: 'saddr',
  dst: 'daddr',
  proto_src: 'proto-src',
  proto_dst: 'proto-dst',
  l3protocol: 'l3proto',
  pkts: 'packets',
  src_ip: 'ip saddr',
  dst_ip: 'ip daddr',
  src_ip6: 'ip6 saddr',
  dst_ip6: 'ip6 daddr',
};
