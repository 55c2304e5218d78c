/**
 * Which of its addresses a host sends from: IPv4 by device and scope as Linux's inet_select_addr, IPv6 by the rules of
 * RFC 6724 (section 5) with its default label table (section 2.1).
 */
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_OPTIMISTIC,
  IFA_F_SECONDARY,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  RT_SCOPE_LINK,
} from '../wire/uapi/rtnetlink.ts';
import type { Addresses, IfAddress } from './address.ts';
import { scope6 } from './address-routes.ts';
import type { FibResult } from './route.ts';
import { isZero, samePrefix, sameWords } from './words.ts';

const NONE: Uint32Array = new Uint32Array(4);

/** IPv4: an address of the device (or any other device) of at most this scope, preferring the subnet of `toward`. */
export function selectSource4(addresses: Addresses, ifindex: number, toward: Uint32Array, scope: number): Uint32Array {
  let first: Uint32Array | undefined;
  const usable = (a: IfAddress): boolean => !(a.flags & IFA_F_SECONDARY) && a.scope <= scope;
  for (const a of addresses.list(AF_INET, ifindex)) {
    if (!usable(a)) continue;
    if (isZero(toward) || samePrefix(a.peer, toward, a.prefixLength)) return a.local;
    first ??= a.local;
  }
  if (first !== undefined) return first;
  for (const a of addresses.all(AF_INET)) if (usable(a) && a.scope !== RT_SCOPE_LINK) return a.local;
  return NONE;
}

/** The source for a routing answer: the route's preferred one, else by device, gateway and scope. Zero: none. */
export function resultSource4(addresses: Addresses, result: FibResult): Uint32Array {
  const { route, nexthop } = result;
  if (route === undefined || nexthop === undefined) return NONE;
  if (route.prefsrc !== undefined && !isZero(route.prefsrc)) return route.prefsrc;
  const toward = nexthop.gatewayFamily === AF_INET ? nexthop.gateway : NONE;
  return selectSource4(addresses, nexthop.oif, toward, route.scope);
}

const LABELS: readonly (readonly [Uint32Array, number, number])[] = [
  [Uint32Array.of(0, 0, 0, 1), 128, 0],
  [Uint32Array.of(0, 0, 0xffff, 0), 96, 4],
  [Uint32Array.of(0, 0, 0, 0), 96, 3],
  [Uint32Array.of(0x20010000, 0, 0, 0), 32, 6],
  [Uint32Array.of(0x20010010, 0, 0, 0), 28, 7],
  [Uint32Array.of(0x3ffe0000, 0, 0, 0), 16, 12],
  [Uint32Array.of(0x20020000, 0, 0, 0), 16, 2],
  [Uint32Array.of(0xfec00000, 0, 0, 0), 10, 11],
  [Uint32Array.of(0xfc000000, 0, 0, 0), 7, 5],
];

/** The default policy table's label of an address, with Linux's own entries. */
export function label6(address: Uint32Array): number {
  for (const [prefix, length, label] of LABELS) if (samePrefix(address, prefix, length)) return label;
  return 1;
}

function shared(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < 4; i++) {
    const diff = a[i] ^ b[i];
    if (diff !== 0) return i * 32 + Math.clz32(diff);
  }
  return 128;
}

// RT_SCOPE_* counts down with reach, RFC 6724's scopes count up: host 1, link 2, site 5, global 14.
function reach(address: Uint32Array): number {
  const scope = scope6(address);
  return scope === 254 ? 1 : scope === 253 ? 2 : scope === 200 ? 5 : 14;
}

/** RFC 6724: the source for `dst` when packets leave by `ifindex` (0: unknown). Undefined when there is none. */
export function selectSource6(addresses: Addresses, ifindex: number, dst: Uint32Array): Uint32Array | undefined {
  const scope = reach(dst);
  const own = dst[0] >>> 24 === 0xff || scope <= 2;
  let best: IfAddress | undefined;
  for (const a of addresses.all(AF_INET6)) {
    if (own && ifindex !== 0 && a.ifindex !== ifindex) continue;
    if (a.flags & IFA_F_DADFAILED || (a.flags & IFA_F_TENTATIVE && !(a.flags & IFA_F_OPTIMISTIC))) continue;
    if (best === undefined || better(a, best, ifindex, dst, scope)) best = a;
  }
  return best?.local;
}

function better(a: IfAddress, b: IfAddress, ifindex: number, dst: Uint32Array, scope: number): boolean {
  // Rule 1: the destination itself.
  const same = Number(sameWords(a.local, dst)) - Number(sameWords(b.local, dst));
  if (same !== 0) return same > 0;
  // Rule 2: the narrowest scope that still reaches the destination.
  const [ra, rb] = [reach(a.local), reach(b.local)];
  if (ra !== rb) return ra < rb ? ra >= scope : rb < scope;
  // Rule 3: not deprecated.
  const deprecated = (b.flags & IFA_F_DEPRECATED) - (a.flags & IFA_F_DEPRECATED);
  if (deprecated !== 0) return deprecated > 0;
  // Rule 5: an address of the outgoing device.
  const device = Number(a.ifindex === ifindex) - Number(b.ifindex === ifindex);
  if (ifindex !== 0 && device !== 0) return device > 0;
  // Rule 6: the same label.
  const label = label6(dst);
  const labels = Number(label6(a.local) === label) - Number(label6(b.local) === label);
  if (labels !== 0) return labels > 0;
  // Rule 7: Linux prefers public addresses unless use_tempaddr is 2.
  const temporary = (b.flags & IFA_F_TEMPORARY) - (a.flags & IFA_F_TEMPORARY);
  if (temporary !== 0) return temporary > 0;
  // Rule 8: the longest common prefix.
  return Math.min(shared(a.local, dst), a.prefixLength) > Math.min(shared(b.local, dst), b.prefixLength);
}
