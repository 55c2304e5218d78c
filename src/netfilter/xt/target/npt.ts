/** Targets SNPT and DNPT: stateless IPv6 prefix translation that leaves checksums true (RFC 6296). */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { fold } from '../../../wire/checksum.ts';
import { NF_DROP, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import { type NptTarget, nptTarget } from '../../../wire/xt/npt-target.ts';
import type { NetfilterHost } from '../../nft/host.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';

const SRC = 8;
const DST = 24;
const HEADER = 40;
const ICMPV6 = 58;
const PARAM_PROB = 4;
const PREFIX_MAX = 64;

/** Sum of the 16-bit words of a prefix. */
function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < 16; i += 2) total += bytes[i] * 256 + bytes[i + 1];
  return total;
}

/** True when bits beyond the prefix are set. */
function overlong(bytes: Uint8Array, length: number): boolean {
  return bytes.some((byte, i) => (byte & ~(0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff) !== 0);
}

/** Sixteen bits in one's complement: 0xffff is zero. */
const fold16 = (value: number): number => fold(value) & 0xffff;

/** Translates the address at `at`; false when no word of it can take the adjustment. */
function translate(u8: Uint8Array, at: number, info: NptTarget, prefix: Uint8Array, adjustment: number): boolean {
  const length = Math.max(info.srcLength, info.dstLength);
  for (let i = 0; i * 8 < length; i++) {
    const keep = 0xff >> Math.min(8, length - i * 8);
    u8[at + i] = (u8[at + i] & keep) | (prefix[i] & ~keep & 0xff);
  }
  // A /48 is balanced in the subnet, a longer prefix in the first word of the interface that is not all ones.
  let word = 3;
  if (length > 48) {
    for (word = 4; word < 8; word++) if (u8[at + word * 2] !== 0xff || u8[at + word * 2 + 1] !== 0xff) break;
    if (word === 8) return false;
  }
  const from = at + word * 2;
  let value = fold16(u8[from] * 256 + u8[from + 1] + adjustment);
  if (value === 0xffff) value = 0;
  u8[from] = value >> 8;
  u8[from + 1] = value & 0xff;
  return true;
}

/** Offset of the IPv6 header inside an ICMPv6 error; -1 when there is none. */
function quoted(pkt: PktInfo): number {
  const { u8 } = pkt.slab;
  if (u8[pkt.nhoff + 6] !== ICMPV6 || pkt.nhoff + HEADER + 8 + HEADER > pkt.end) return -1;
  return u8[pkt.nhoff + HEADER] < 128 ? pkt.nhoff + HEADER + 8 : -1;
}

function npt(name: 'SNPT' | 'DNPT', hooks: readonly number[]): XtTarget<NptTarget> {
  const side = name === 'SNPT' ? SRC : DST;
  return {
    name,
    revision: 0,
    family: NFPROTO_IPV6,
    codec: nptTarget,
    make(info, ctx) {
      if (ctx.table !== 'mangle' || info.srcLength > PREFIX_MAX || info.dstLength > PREFIX_MAX)
        throw new KernelError(EINVAL);
      if (overlong(info.src, info.srcLength) || overlong(info.dst, info.dstLength)) throw new KernelError(EINVAL);
      const adjustment = fold16(sum(info.src) + (fold16(sum(info.dst)) ^ 0xffff));
      const { host }: { host: NetfilterHost } = ctx.init;
      return (pkt) => {
        const { u8 } = pkt.slab;
        if (!translate(u8, pkt.nhoff + side, info, info.dst, adjustment)) {
          host.sendIcmpError(pkt.pf, pkt.p, PARAM_PROB, 0, pkt.hook);
          return NF_DROP;
        }
        // The packet that an error quotes went the other way.
        const inner = quoted(pkt);
        if (inner >= 0) translate(u8, inner + (side === SRC ? DST : SRC), info, info.dst, adjustment);
        return XT_CONTINUE;
      };
    },
    validate(chain) {
      if (chain.base !== undefined && !hooks.includes(chain.base.hook)) throw new KernelError(EINVAL);
    },
  };
}

export const SNPT: XtTarget<NptTarget> = npt('SNPT', [1, 4]);
export const DNPT: XtTarget<NptTarget> = npt('DNPT', [0, 3]);
