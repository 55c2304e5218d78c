/**
 * What evaluation of one rule knows: the family, which protocols the rule has pinned down so far, the type that the
 * place at hand expects, and the statements made on the way.
 */
import { NFT_INNER_LL } from '../../../wire/uapi/nf-tables.ts';
import type { Expr, Family, Stmt } from '../ast.ts';
import type { ByteOrder, Datatype, Names } from '../datatype.ts';
import * as dt from '../datatype.ts';
import { BASE_LL, familyProto, type ProtoDesc } from '../proto.ts';
import type { SetInfo } from '../set-info.ts';
import { type Location, NftError } from '../source.ts';

/** What an expression at this place must be. */
export type Expect = {
  readonly type: Datatype;
  readonly byteorder: ByteOrder;
  readonly len: number;
  /** Largest value, where it is less than the length allows. */
  readonly max?: bigint;
  /** The key that elements belong to: gives the members of concatenations. */
  readonly key?: Expr;
  /** The name of an object of this type (NFT_OBJECT_*). */
  readonly object?: number;
};

export const expectNothing: Expect = { type: dt.invalidType, byteorder: 'invalid', len: 0 };

export function expectOf(expr: Expr): Expect {
  return { type: expr.type ?? dt.invalidType, byteorder: expr.byteorder ?? 'invalid', len: expr.len ?? 0, key: expr };
}

/** What a rule can refer to. */
export type World = {
  readonly names: Names;
  set(family: Family, table: string, name: string): SetInfo | undefined;
  hasObject(family: Family, table: string, type: number, name: string): boolean;
  /** Number for a new set of this batch. */
  nextSetId(): number;
  addAnonymous(set: SetInfo): void;
  /** A meter's set; created in the table. */
  addMeter(set: SetInfo): void;
};

export type ProtoState = {
  desc?: ProtoDesc;
  /** Protocols that were named as alternatives. */
  all: ProtoDesc[];
  /** Bits that headers of this base have used already (stacked VLANs). */
  offset: number;
  loc?: Location;
};

export class Context {
  readonly family: Family;
  readonly table: string;
  readonly world: World;
  /** Protocol by base. */
  readonly protocols: ProtoState[] = [];
  /** Evaluated statements so far. */
  readonly out: Stmt[];

  /** The tunnel whose inner packet this is about; `place` is the family of the table. */
  readonly tunnel?: ProtoDesc;
  readonly place: Family;
  readonly #inner = new Map<ProtoDesc, Context>();

  constructor(
    family: Family,
    table: string,
    world: World,
    outer?: { readonly ctx: Context; readonly tunnel: ProtoDesc },
  ) {
    this.family = family;
    this.place = outer?.ctx.family ?? family;
    if (outer !== undefined) {
      this.tunnel = outer.tunnel;
      this.out = outer.ctx.out;
    } else this.out = [];
    this.table = table;
    this.world = world;
    for (let base = 0; base <= 4; base++) this.protocols.push({ all: [], offset: 0 });
    const first = familyProto[family];
    this.protocols[first.base].desc = first.desc;
    this.protocols[first.base].all.push(first.desc);
  }

  /** What is known of the packet inside a tunnel; GRE carries no Ethernet header, the others do. */
  inner(tunnel: ProtoDesc): Context {
    const known = this.#inner.get(tunnel);
    if (known !== undefined) return known;
    const family = (tunnel.inner?.flags ?? 0) & NFT_INNER_LL ? 'bridge' : 'netdev';
    const made = new Context(family, this.table, this.world, { ctx: this, tunnel });
    this.#inner.set(tunnel, made);
    return made;
  }

  setProtocol(base: number, desc: ProtoDesc, loc?: Location): void {
    const state = this.protocols[base];
    state.desc = desc;
    state.all.push(desc);
    if (loc !== undefined) state.loc = loc;
  }

  /** Bits in front of link-layer fields: VLAN tags that were passed. */
  linkOffset(): number {
    return this.protocols[BASE_LL].offset;
  }
}

export function fail(at: Expr | Stmt | Location | undefined, message: string, also?: Location): never {
  const loc = at === undefined ? undefined : 'source' in at ? at : at.loc;
  throw new NftError(loc, message, also);
}
