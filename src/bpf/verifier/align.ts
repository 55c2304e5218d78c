/** Alignment of memory accesses (always for the stack and for atomics; everywhere with BPF_F_STRICT_ALIGNMENT). */
import { EACCES } from '../../core/errno.ts';
import type { Verifier } from './env.ts';
import { unsignedText } from './print.ts';
import {
  baseType,
  PTR_TO_ARENA,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  type Reg,
} from './reg.ts';
import { tnumAdd, tnumIsAligned } from './tnum.ts';

/** Ethernet frames start two bytes before a 4-byte boundary, so that the IP header is aligned. */
const NET_IP_ALIGN = 2;

const NAMES: ReadonlyMap<number, string> = new Map([
  [PTR_TO_FLOW_KEYS, 'flow keys '],
  [PTR_TO_MAP_KEY, 'key '],
  [PTR_TO_MAP_VALUE, 'value '],
  [PTR_TO_CTX, 'context '],
  [PTR_TO_STACK, 'stack '],
  [PTR_TO_SOCKET, 'sock '],
  [PTR_TO_SOCK_COMMON, 'sock_common '],
  [PTR_TO_TCP_SOCK, 'tcp_sock '],
  [PTR_TO_XDP_SOCK, 'xdp_sock '],
]);

/** A constant as a number, else value and mask. */
const offsetText = (reg: Reg): string =>
  reg.mask === 0n ? unsignedText(reg.value) : `(0x${reg.value.toString(16)}; 0x${reg.mask.toString(16)})`;

export function checkAlignment(v: Verifier, reg: Reg, off: number, size: number, strictOnce: boolean): void {
  const type = baseType(reg.type);
  if (size === 1 || type === PTR_TO_ARENA) return;
  if (!v.strictAlignment && !strictOnce && type !== PTR_TO_STACK) return;
  const packet = type === PTR_TO_PACKET || type === PTR_TO_PACKET_META;
  const fixed = BigInt.asUintN(64, BigInt(reg.off + off + (packet ? NET_IP_ALIGN : 0)));
  const at = tnumAdd({ value: reg.value, mask: reg.mask }, { value: fixed, mask: 0n });
  if (tnumIsAligned(at, size)) return;
  const where = packet
    ? `packet access off ${NET_IP_ALIGN}+${offsetText(reg)}+${reg.off}+${off}`
    : `${NAMES.get(type) ?? ''}access off ${offsetText(reg)}+${reg.off}+${off}`;
  v.reject(EACCES, `misaligned ${where} size ${size}`);
}
