/**
 * The ruleset of a host, read over netlink (the GET dumps of nf_tables) into the syntax tree that the printers take.
 *
 *     const ruleset = readRuleset(io.netlink.open(NETLINK_NETFILTER));
 *     stdout = printRuleset(ruleset, {});
 */
import { type Attr, AttrWriter, attrMap } from '../../wire/netlink/attr.ts';
import type { Message, NetlinkSocket } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { NFNL_SUBSYS_NFTABLES } from '../../wire/uapi/nfnetlink.ts';
import { NetlinkClient } from '../netlink-client.ts';
import type { Family, Stmt } from './ast.ts';
import { FAMILY_NUMBERS, nfgenmsg } from './batch.ts';
import type { Release } from './datatype.ts';
import {
  type Attrs,
  FAMILIES,
  type Ruleset,
  readChain,
  readFlowtable,
  readObject,
  readRule,
  readSet,
  readTable,
  type TableView,
  text,
} from './views.ts';

/** What to read: everything, or what belongs to a family and a table. `reset`: objects are set to zero once read. */
export type Selector = {
  readonly family?: Family;
  readonly table?: string;
  readonly reset?: { readonly type: number; readonly name?: string };
  /** The release whose listing it is for. */
  readonly release?: Release;
};

const NFGENMSG_LENGTH = 4;
/** Reads the ruleset. Throws NetlinkError when the kernel refuses. */
export function readRuleset(socket: NetlinkSocket, selector: Selector = {}): Ruleset {
  return new Reader(socket, selector).read();
}

class Reader {
  readonly #client: NetlinkClient;
  readonly #selector: Selector;
  readonly #tables = new Map<string, TableView>();

  constructor(socket: NetlinkSocket, selector: Selector) {
    this.#client = new NetlinkClient(socket);
    this.#selector = selector;
  }

  read(): Ruleset {
    for (const { family, a } of this.#all(U.NFT_MSG_GETTABLE)) this.#table(family, a);
    for (const { family, a } of this.#objects()) this.#object(family, a);
    for (const { family, a } of this.#all(U.NFT_MSG_GETSET)) this.#set(family, a);
    for (const { family, a } of this.#all(U.NFT_MSG_GETFLOWTABLE)) this.#flowtable(family, a);
    for (const { family, a } of this.#all(U.NFT_MSG_GETCHAIN)) this.#chain(family, a);
    for (const { family, a } of this.#all(U.NFT_MSG_GETRULE)) this.#rule(family, a);
    for (const table of this.#tables.values()) nestChains(table);
    return { tables: [...this.#tables.values()] };
  }

  #dump(msg: number, family: number, fill: (w: AttrWriter) => void): Message[] {
    const w = new AttrWriter().raw(nfgenmsg(family));
    fill(w);
    return this.#client.dump((NFNL_SUBSYS_NFTABLES << 8) | msg, w.finish());
  }

  /** A dump of everything, of the selected family. */
  *#all(msg: number): Iterable<{ readonly family: Family; readonly a: Attrs }> {
    const wanted = this.#selector.family;
    yield* this.#read(this.#dump(msg, wanted === undefined ? 0 : FAMILY_NUMBERS[wanted], () => {}));
  }

  *#read(messages: readonly Message[]): Iterable<{ readonly family: Family; readonly a: Attrs }> {
    const wanted = this.#selector.family;
    for (const m of messages) {
      const family = FAMILIES.get(m.payload[0]);
      if (family === undefined || (wanted !== undefined && family !== wanted)) continue;
      yield { family, a: attrMap(m.payload, NFGENMSG_LENGTH) };
    }
  }

  #objects(): Iterable<{ readonly family: Family; readonly a: Attrs }> {
    const { reset, table } = this.#selector;
    if (reset === undefined) return this.#all(U.NFT_MSG_GETOBJ);
    const { family } = this.#selector;
    const { name } = reset;
    const w = new AttrWriter().raw(nfgenmsg(family === undefined ? 0 : FAMILY_NUMBERS[family]));
    if (table !== undefined) w.string(U.NFTA_OBJ_TABLE, table);
    w.beU32(U.NFTA_OBJ_TYPE, reset.type);
    const type = (NFNL_SUBSYS_NFTABLES << 8) | U.NFT_MSG_GETOBJ_RESET;
    if (name === undefined) return this.#read(this.#client.dump(type, w.finish()));
    const one = this.#client.get(type, w.string(U.NFTA_OBJ_NAME, name).finish());
    return this.#read(one === undefined ? [] : [one]);
  }

  #find(family: Family, name: string): TableView | undefined {
    return this.#tables.get(`${family} ${name}`);
  }

  #table(family: Family, a: Attrs): void {
    const table = readTable(family, a);
    if (this.#selector.table !== undefined && this.#selector.table !== table.name) return;
    this.#tables.set(`${family} ${table.name}`, table);
  }

  #object(family: Family, a: Attrs): void {
    const object = readObject(a);
    if (object !== undefined) this.#find(family, text(a, U.NFTA_OBJ_TABLE))?.objects.push(object);
  }

  #set(family: Family, a: Attrs): void {
    const table = this.#find(family, text(a, U.NFTA_SET_TABLE));
    if (table === undefined) return;
    const name = text(a, U.NFTA_SET_NAME);
    const lists = (): Attr[] =>
      this.#dump(U.NFT_MSG_GETSETELEM, FAMILY_NUMBERS[family], (w) => {
        w.string(U.NFTA_SET_ELEM_LIST_TABLE, table.name).string(U.NFTA_SET_ELEM_LIST_SET, name);
      }).flatMap((m) => attrMap(m.payload, NFGENMSG_LENGTH).get(U.NFTA_SET_ELEM_LIST_ELEMENTS) ?? []);
    table.sets.push(readSet(family, table.name, a, lists));
  }

  #flowtable(family: Family, a: Attrs): void {
    this.#find(family, text(a, U.NFTA_FLOWTABLE_TABLE))?.flowtables.push(readFlowtable(a));
  }

  #chain(family: Family, a: Attrs): void {
    this.#find(family, text(a, U.NFTA_CHAIN_TABLE))?.chains.push(readChain(family, a));
  }

  #rule(family: Family, a: Attrs): void {
    const table = this.#find(family, text(a, U.NFTA_RULE_TABLE));
    const name = text(a, U.NFTA_RULE_CHAIN);
    const chain = table?.chains.find((one) => one.name === name);
    if (table === undefined || chain === undefined) return;
    const set = (wanted: string) => table.sets.find((one) => one.name === wanted);
    chain.rules.push(readRule(family, a, set, this.#selector.release));
  }
}

/** Chains without a name of their own are listed inside the rule that jumps to them. */
function nestChains(table: TableView): void {
  if (!table.chains.some((chain) => chain.flags & U.NFT_CHAIN_BINDING)) return;
  const inner = (s: Stmt): Stmt => {
    const e = s.kind === 'verdict' && s.expr.kind === 'verdict' ? s.expr : undefined;
    if (e?.chain?.kind !== 'symbol' || (e.verdict !== 'jump' && e.verdict !== 'goto')) return s;
    const { text: name } = e.chain;
    const chain = table.chains.find((one) => one.name === name && one.flags & U.NFT_CHAIN_BINDING);
    return chain === undefined ? s : { kind: 'chainblock', verdict: e.verdict, rules: chain.rules };
  };
  for (const chain of table.chains) {
    chain.rules.splice(0, Infinity, ...chain.rules.map((rule) => ({ ...rule, stmts: rule.stmts.map(inner) })));
  }
}
