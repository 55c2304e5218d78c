/**
 * `hash`: jhash over registers, or the packet's symmetric flow hash, scaled to a modulus, plus an offset.
 */

import { EINVAL, EOVERFLOW, ERANGE, KernelError } from '../../../core/errno.ts';
import { jhash } from '../../../core/jhash.ts';
import {
  NFT_HASH_SYM,
  NFTA_HASH_DREG,
  NFTA_HASH_LEN,
  NFTA_HASH_MODULUS,
  NFTA_HASH_OFFSET,
  NFTA_HASH_SEED,
  NFTA_HASH_SREG,
  NFTA_HASH_TYPE,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import type { PktInfo } from '../pkt.ts';
import { loadRegister, regNumber, storeRegister } from '../regs.ts';

/** A hash that is the same for both directions of a flow: addresses and ports, each pair in a fixed order. */
function symmetricHash(pkt: PktInfo): number {
  const dv = pkt.slab.dv;
  const v6 = dv.getUint8(pkt.nhoff) >> 4 === 6;
  const from = pkt.nhoff + (v6 ? 8 : 12);
  const words = v6 ? 4 : 1;
  let a = 0;
  let b = 0;
  for (let i = 0; i < words; i++) {
    a = (Math.imul(a, 31) + dv.getUint32(from + i * 4)) >>> 0;
    b = (Math.imul(b, 31) + dv.getUint32(from + (words + i) * 4)) >>> 0;
  }
  let ports = 0;
  if (pkt.hasTransport && pkt.fragoff === 0 && pkt.thoff + 4 <= pkt.end) {
    const s = dv.getUint16(pkt.thoff);
    const d = dv.getUint16(pkt.thoff + 2);
    ports = s < d ? s * 65536 + d : d * 65536 + s;
  }
  let h = Math.imul((a ^ b) + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(a + b, 0xc2b2ae35) ^ ports ^ pkt.tprot;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  return (h ^ (h >>> 15)) >>> 0;
}

const scale = (h: number, modulus: number): number => Math.floor((h / 0x1_0000_0000) * modulus);

export const hash: ExprKind = {
  name: 'hash',
  init(attrs): Expr {
    const type = u32Attr(attrs, NFTA_HASH_TYPE, 0);
    const modulus = u32Attr(attrs, NFTA_HASH_MODULUS);
    const offset = u32Attr(attrs, NFTA_HASH_OFFSET, 0);
    if (modulus < 1) throw new KernelError(ERANGE);
    if (offset + modulus - 1 > 0xffffffff) throw new KernelError(EOVERFLOW);
    const to = storeRegister(attrs.get(NFTA_HASH_DREG), 4);
    if (type === NFT_HASH_SYM) {
      return {
        name: 'hash',
        eval(regs, pkt) {
          regs.u32[to >> 2] = scale(symmetricHash(pkt), modulus) + offset;
        },
        dump(w) {
          w.beU32(NFTA_HASH_DREG, regNumber(to)).beU32(NFTA_HASH_MODULUS, modulus);
          if (offset !== 0) w.beU32(NFTA_HASH_OFFSET, offset);
          w.beU32(NFTA_HASH_TYPE, type);
        },
      };
    }
    if (type > NFT_HASH_SYM) throw new KernelError(EINVAL);
    const length = u32Attr(attrs, NFTA_HASH_LEN);
    const from = loadRegister(attrs.get(NFTA_HASH_SREG), length);
    const given = attrs.has(NFTA_HASH_SEED);
    const seed = u32Attr(attrs, NFTA_HASH_SEED, 0);
    return {
      name: 'hash',
      eval(regs) {
        regs.u32[to >> 2] = scale(jhash(regs.u8, from, length, seed), modulus) + offset;
      },
      dump(w) {
        w.beU32(NFTA_HASH_SREG, regNumber(from)).beU32(NFTA_HASH_DREG, regNumber(to));
        w.beU32(NFTA_HASH_LEN, length).beU32(NFTA_HASH_MODULUS, modulus);
        if (given) w.beU32(NFTA_HASH_SEED, seed);
        if (offset !== 0) w.beU32(NFTA_HASH_OFFSET, offset);
        w.beU32(NFTA_HASH_TYPE, type);
      },
    };
  },
};
