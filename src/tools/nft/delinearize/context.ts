/**
 * What is known of a packet's headers while a rule is read back, and which statements only say so: a match that a later
 * field implies by its name ("tcp dport" implies "meta l4proto tcp") is left out of the listing.
 */

import {
  NFT_INNER_LL,
  NFT_META_IFTYPE,
  NFT_META_L4PROTO,
  NFT_META_NFPROTO,
  NFT_META_PROTOCOL,
} from '../../../wire/uapi/nf-tables.ts';
import type { Expr, Family, RelationalExpr, Stmt } from '../ast.ts';
import type { Release } from '../datatype.ts';
import {
  BASE_LL,
  BASE_NETWORK,
  BASE_TRANSPORT,
  BASE_TUNNEL,
  familyProto,
  type ProtoDesc,
  proto,
  upperProto,
} from '../proto.ts';

type Layer = { desc: ProtoDesc | undefined /** Bits of lower headers of the same base. */; offset: number };

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const ARPHRD_ETHER = 1;

export class HeaderContext {
  readonly family: Family;
  readonly layers: Layer[] = Array.from({ length: BASE_TUNNEL + 1 }, () => ({ desc: undefined, offset: 0 }));
  /** Statement that says which header lies at a base, by base. */
  readonly #deps: (Stmt | undefined)[] = [];
  /** ICMP message types that an earlier match on the type leaves. */
  icmpTypes: readonly number[] | undefined;
  icmpStmt: Stmt | undefined;
  readonly #inner = new Map<ProtoDesc, HeaderContext>();
  readonly #remove: (stmt: Stmt) => void;
  /** The release whose listing this is for: newer ones name fields that were shifted out of their bytes. */
  readonly listedFor: Release | undefined;

  constructor(family: Family, remove: (stmt: Stmt) => void, release?: Release) {
    this.family = family;
    this.listedFor = release;
    this.#remove = remove;
    const first = familyProto[family];
    this.layers[first.base].desc = first.desc;
  }

  /** The context of what an expression looks at: the packet itself, or the one inside a tunnel. */
  of(e: Expr): HeaderContext {
    const tunnel = tunnelOf(e);
    if (tunnel === undefined) return this;
    const known = this.#inner.get(tunnel);
    if (known !== undefined) return known;
    const family = (tunnel.inner?.flags ?? 0) & NFT_INNER_LL ? 'bridge' : 'netdev';
    const made = new HeaderContext(family, this.#remove, this.listedFor);
    made.layers[BASE_TUNNEL].desc = tunnel;
    this.#inner.set(tunnel, made);
    return made;
  }

  /** The header known to lie at a base. */
  desc(base: number): ProtoDesc | undefined {
    return this.layers[base]?.desc;
  }

  #set(desc: ProtoDesc): void {
    this.layers[desc.base].desc = desc;
  }

  /** Learns from a match `left == value`. */
  learn(e: RelationalExpr, value: number): void {
    const { left } = e;
    if (left.kind === 'meta') {
      if (left.key === NFT_META_NFPROTO) this.#found(upperProto(proto('inet'), value));
      else if (left.key === NFT_META_L4PROTO) this.#found(upperProto(proto('inet-service'), value));
      else if (left.key === NFT_META_PROTOCOL) this.#found(upperProto(this.desc(BASE_LL) ?? proto('netdev'), value));
      else if (left.key === NFT_META_IFTYPE && value === ARPHRD_ETHER) this.layers[BASE_LL].desc = proto('ether');
    } else if (left.kind === 'payload' && left.proto && isProtocolField(left.proto, left.field)) {
      const upper = upperProto(left.proto, value);
      // A header of the same base lies behind this one (VLAN tags).
      if (upper?.base === left.base) this.layers[left.base].offset += left.proto.length;
      this.#found(upper);
    } else if (left.kind === 'payload' && left.proto && left.field !== undefined) {
      const { name } = left.proto;
      if ((name === 'icmp' || name === 'icmpv6') && left.proto.fields[left.field].name === 'type')
        this.icmpTypes = [value];
    }
  }

  #found(desc: ProtoDesc | undefined): void {
    if (desc !== undefined) this.#set(desc);
  }

  /** Remembers that a statement says what lies behind `base`. */
  store(stmt: Stmt, base: number): void {
    this.#deps[base + 1] = stmt;
  }

  exists(base: number): boolean {
    return this.#deps[base] !== undefined;
  }

  /** Leaves the statement about `base` out of the listing. */
  release(base: number): void {
    const stmt = this.#deps[base];
    if (stmt === undefined) return;
    this.#remove(stmt);
    this.#deps[base] = undefined;
  }

  /** Leaves the match on the ICMP type out: a field has said it. */
  releaseIcmp(): void {
    if (this.icmpStmt) this.#remove(this.icmpStmt);
    this.icmpStmt = undefined;
  }

  /** A statement that is no match keeps everything in front of it in the listing. */
  fence(): void {
    this.#deps.length = 0;
    this.icmpStmt = undefined;
    for (const inner of this.#inner.values()) inner.fence();
  }

  dependency(base: number): RelationalExpr | undefined {
    const stmt = this.#deps[base];
    return stmt?.kind === 'expr' && stmt.expr.kind === 'relational' ? stmt.expr : undefined;
  }

  /**
   * A field of the header at `base` has been read: the statement that implied the header may go. `vlan`: the field is one
   * of a VLAN tag.
   */
  kill(base: number, field: boolean, vlan = false): void {
    const dep = this.dependency(base);
    // Raw bytes name no protocol, so they imply none.
    if (dep === undefined || !field) return;
    const wide = this.family === 'bridge' || this.family === 'netdev' || this.family === 'inet';
    const { left } = dep;
    // A tag that nobody looks into stays said; so does every type of tag but the usual one.
    if (
      dep.right.kind === 'value' &&
      (left.kind === 'payload' || left.kind === 'meta') &&
      left.type?.name === 'ether_type'
    ) {
      if (dep.right.value === 0x8100n && !vlan) return;
      if (dep.right.value === 0x88a8n) return;
    }
    if (wide && base === BASE_TRANSPORT && left.kind === 'payload' && left.base === BASE_NETWORK) {
      // `ip protocol` and `ip6 nexthdr` say IPv4 or IPv6 as well.
      if (left.proto?.name === 'ip' || left.proto?.name === 'ip6') return;
    }
    this.release(base);
  }

  /** `meta l4proto` has been read with the network protocol known from another match: may that one go? */
  killForMeta(key: number, value: number | undefined): void {
    const dep = this.dependency(BASE_NETWORK);
    if (dep === undefined) return;
    if (key === NFT_META_L4PROTO) {
      if (value !== IPPROTO_ICMP && value !== IPPROTO_ICMPV6) return;
      const network = this.desc(BASE_NETWORK)?.name;
      if ((network === 'ip' && value === IPPROTO_ICMPV6) || (network === 'ip6' && value === IPPROTO_ICMP)) return;
      if (dep.left.kind === 'payload' && dep.left.proto?.name === 'vlan') return;
      this.release(BASE_NETWORK);
    }
  }
}

function tunnelOf(e: Expr): ProtoDesc | undefined {
  switch (e.kind) {
    case 'payload':
    case 'meta':
      return e.tunnel;
    case 'binary':
      return tunnelOf(e.left);
    case 'concat':
      return e.parts.map(tunnelOf).find((tunnel) => tunnel !== undefined);
    default:
      return undefined;
  }
}

/** True when the field names the next protocol. */
export function isProtocolField(desc: ProtoDesc, field: number | undefined): boolean {
  return field !== undefined && desc.protocolField !== undefined && desc.fields[field].name === desc.protocolField;
}
