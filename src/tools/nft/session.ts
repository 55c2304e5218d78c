/**
 * One run of nft against a host: commands are evaluated in order and become one transaction. What rules refer to and
 * this run did not declare is asked of the kernel, lazily.
 */
import { AttrWriter, attrMap, getBeU32, getBeU64, getString, readAttrs } from '../../wire/netlink/attr.ts';
import type { Message, NetlinkSocket } from '../../wire/netlink/message.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE } from '../../wire/uapi/netlink.ts';
import * as uapi from '../../wire/uapi/nf-tables.ts';
import { NFNL_SUBSYS_NFTABLES } from '../../wire/uapi/nfnetlink.ts';
import { NetlinkClient } from '../netlink-client.ts';
import type {
  Chain,
  Command,
  ElementExpr,
  Elements,
  Expr,
  Family,
  Rule,
  SetDecl,
  SetExpr,
  Table,
  Target,
} from './ast.ts';
import { mergeRanges, type Range, rangeElement, readRanges } from './auto-merge.ts';
import { Batch, FAMILY_NUMBERS, nfgenmsg, type Origin } from './batch.ts';
import * as build from './build.ts';
import type { Names } from './datatype.ts';
import * as dt from './datatype.ts';
import { simpleStmt } from './delinearize/statements.ts';
import { DYNAMIC_SET_SIZE } from './dynamic-sets.ts';
import { type KernelElement, kernelElements } from './elements.ts';
import { Context, fail, type World } from './eval/context.ts';
import { declareSet } from './eval/declare.ts';
import { evaluate } from './eval/expression.ts';
import { evaluateElements } from './eval/set.ts';
import { evaluateRule, evaluateStatements } from './eval/statement.ts';
import { bounds } from './eval/value.ts';
import { debugElement, debugExpr } from './expr/debug.ts';
import { decodeExpr, decodeExprs } from './expr/decode.ts';
import { encodeExprs } from './expr/encode.ts';
import type { KernelExpr } from './expr/types.ts';
import { getElements } from './get-element.ts';
import { linearizeRule, linearizeStatements } from './linearize.ts';
import { writeChain, writeElement, writeFlowtable, writeObject, writeSet, writeTable } from './objects.ts';
import { type RuleName, RuleOrder } from './rule-order.ts';
import type { SetInfo } from './set-info.ts';
import {
  emitUdata,
  parseUdata,
  UDATA_COMMENT,
  UDATA_SET_KEYBYTEORDER,
  UDATA_SET_MERGE_ELEMENTS,
  udataString,
} from './userdata.ts';
import type { SetEntry } from './views.ts';

const NFT_MSG_DESTROY: Readonly<Record<number, number>> = {
  [uapi.NFT_MSG_DELTABLE]: 26,
  [uapi.NFT_MSG_DELCHAIN]: 27,
  [uapi.NFT_MSG_DELRULE]: 28,
  [uapi.NFT_MSG_DELSET]: 29,
  [uapi.NFT_MSG_DELSETELEM]: 30,
  [uapi.NFT_MSG_DELOBJ]: 31,
  [uapi.NFT_MSG_DELFLOWTABLE]: 32,
};
/** Elements of one message: the list attribute's length has 16 bits. */
const MAX_LIST_BYTES = 60_000;
const NFGENMSG_LENGTH = 4;

const OBJECT_NUMBERS: Readonly<Record<string, number>> = {
  counter: uapi.NFT_OBJECT_COUNTER,
  quota: uapi.NFT_OBJECT_QUOTA,
  limit: uapi.NFT_OBJECT_LIMIT,
  'ct helper': uapi.NFT_OBJECT_CT_HELPER,
  'ct timeout': uapi.NFT_OBJECT_CT_TIMEOUT,
  'ct expectation': uapi.NFT_OBJECT_CT_EXPECT,
  secmark: uapi.NFT_OBJECT_SECMARK,
  synproxy: uapi.NFT_OBJECT_SYNPROXY,
};

export class Session implements World {
  readonly names: Names;
  readonly batch: Batch = new Batch();
  /** What `--debug=netlink` prints. */
  debug = '';
  /** Sets that rules of this run add to. */
  dynamic: ReadonlySet<string> = new Set();
  readonly #socket: NetlinkSocket;
  readonly #client: NetlinkClient;
  readonly #debugNetlink: boolean;
  readonly #sets = new Map<string, SetInfo>();
  /** Tables whose sets were asked for, or that this run emptied. */
  readonly #known = new Set<string>();
  #flushed = false;
  /** Chains ("family table chain") and tables ("family table") whose rules this run has taken away. */
  readonly #emptied = new Set<string>();
  readonly #orders = new Map<string, RuleOrder>();
  #ruleId = 0;
  #pending: SetInfo[] = [];
  #id = 0;

  constructor(socket: NetlinkSocket, names: Names, debugNetlink: boolean) {
    this.#socket = socket;
    this.#client = new NetlinkClient(socket);
    this.names = names;
    this.#debugNetlink = debugNetlink;
  }

  set(family: Family, table: string, name: string): SetInfo | undefined {
    const own = this.#sets.get(`${family} ${table} ${name}`);
    if (own !== undefined) return own;
    this.#fetchSets(family, table);
    return this.#sets.get(`${family} ${table} ${name}`);
  }

  hasObject(): boolean {
    return true;
  }

  nextSetId(): number {
    return ++this.#id;
  }

  addAnonymous(set: SetInfo): void {
    this.#pending.push(set);
  }

  addMeter(set: SetInfo): void {
    this.#pending.push(set);
  }

  #dump(type: number, family: number, fill: (w: AttrWriter) => void): Message[] {
    const w = new AttrWriter().raw(nfgenmsg(family));
    fill(w);
    try {
      return this.#client.dump((NFNL_SUBSYS_NFTABLES << 8) | type, w.finish());
    } catch {
      return [];
    }
  }

  #fetchSets(family: Family, table: string): void {
    const key = `${family} ${table}`;
    if (this.#flushed || this.#known.has(key)) return;
    this.#known.add(key);
    const messages = this.#dump(uapi.NFT_MSG_GETSET, FAMILY_NUMBERS[family], (w) => {
      w.string(uapi.NFTA_SET_TABLE, table);
    });
    for (const m of messages) {
      const set = readSet(m, family);
      if (set !== undefined && set.table === table) this.#sets.set(`${key} ${set.name}`, set);
    }
  }

  #elementsOf(set: SetInfo): Message[] {
    return this.#dump(uapi.NFT_MSG_GETSETELEM, FAMILY_NUMBERS[set.family], (w) => {
      w.string(uapi.NFTA_SET_ELEM_LIST_TABLE, set.table).string(uapi.NFTA_SET_ELEM_LIST_SET, set.name);
    });
  }

  /** True when a kernel set has no elements. */
  #kernelSetEmpty(set: SetInfo): boolean {
    return !this.#elementsOf(set).some((m) =>
      attrMap(m.payload, NFGENMSG_LENGTH).has(uapi.NFTA_SET_ELEM_LIST_ELEMENTS),
    );
  }

  command(command: Command): void {
    const { object, op } = command;
    switch (op) {
      case 'add':
      case 'create':
      case 'insert':
      case 'replace':
        this.#add(command);
        return;
      case 'delete':
      case 'destroy':
        if (object.kind === 'elements') this.#elements(object, uapi.NFT_MSG_DELSETELEM, op === 'destroy');
        else this.#delete(object as Target, op === 'destroy');
        return;
      case 'flush':
        this.#flush(object as Target);
        return;
      case 'rename':
        this.#rename(object as Target, command.newName!);
        return;
      default:
        fail(command.loc, `netloom does not support nft ${op} here`);
    }
  }

  #add(command: Command): void {
    const { object, op } = command;
    const flags = NLM_F_CREATE | (op === 'create' ? NLM_F_EXCL : 0);
    switch (object.kind) {
      case 'table':
        this.#table(object, flags);
        return;
      case 'chain':
        this.#chain(object, flags, command);
        for (const rule of object.rules) this.#rule(rule, 'add');
        return;
      case 'setdecl':
        this.#declare(object, flags);
        this.#initial(object);
        return;
      case 'elements':
        this.#elements(object, uapi.NFT_MSG_NEWSETELEM, false, op === 'create');
        return;
      case 'rule':
        this.#rule(object, op === 'insert' ? 'insert' : op === 'replace' ? 'replace' : 'add');
        return;
      case 'object':
        this.batch.add(uapi.NFT_MSG_NEWOBJ, FAMILY_NUMBERS[object.family], flags, origin(object), (w) =>
          writeObject(w, object),
        );
        return;
      case 'flowtable':
        this.batch.add(uapi.NFT_MSG_NEWFLOWTABLE, FAMILY_NUMBERS[object.family], flags, origin(object), (w) =>
          writeFlowtable(w, object),
        );
        return;
      default:
        fail(command.loc, 'unexpected object');
    }
  }

  #table(table: Table, flags: number): void {
    const family = FAMILY_NUMBERS[table.family];
    if (table.name.length >= uapi.NFT_TABLE_MAXNAMELEN) fail(table.loc, 'table name too long');
    this.batch.add(uapi.NFT_MSG_NEWTABLE, family, flags, origin(table), (w) => writeTable(w, table));
    for (const chain of table.chains) this.#chain(chain, NLM_F_CREATE);
    for (const object of table.objects)
      this.batch.add(uapi.NFT_MSG_NEWOBJ, family, NLM_F_CREATE, origin(object), (w) => writeObject(w, object));
    for (const set of table.sets) this.#declare(set, NLM_F_CREATE);
    for (const flowtable of table.flowtables)
      this.batch.add(uapi.NFT_MSG_NEWFLOWTABLE, family, NLM_F_CREATE, origin(flowtable), (w) =>
        writeFlowtable(w, flowtable),
      );
    for (const set of table.sets) this.#initial(set);
    for (const chain of table.chains) for (const rule of chain.rules) this.#rule(rule, 'add');
  }

  #chain(chain: Chain, flags: number, command?: Command): void {
    this.batch.add(
      uapi.NFT_MSG_NEWCHAIN,
      FAMILY_NUMBERS[chain.family],
      flags,
      command?.loc === undefined ? origin(chain) : { loc: command.loc },
      (w) => writeChain(w, chain),
    );
  }

  #declare(decl: SetDecl, flags: number): void {
    const key = `${decl.family} ${decl.table} ${decl.name}`;
    const added = this.dynamic.has(key);
    const grows = { ...decl, size: decl.size ?? DYNAMIC_SET_SIZE, flags: decl.flags | uapi.NFT_SET_EVAL };
    const set = declareSet(added ? grows : decl, this);
    const existing = this.#sets.get(key);
    if (existing !== undefined) {
      set.empty = existing.empty;
      if (existing.ranges !== undefined) set.ranges = existing.ranges;
    }
    // A map whose data are ranges shows by its elements.
    if (decl.elements !== undefined && set.data !== undefined) this.#evaluateInitial(decl, set);
    this.#sets.set(key, set);
    const stmts = linearizeStatements(evaluateStatements(decl.stmts, decl.family, decl.table, this));
    this.batch.add(uapi.NFT_MSG_NEWSET, FAMILY_NUMBERS[decl.family], flags, origin(decl), (w) =>
      writeSet(w, set, stmts),
    );
  }

  #evaluateInitial(decl: SetDecl, set: SetInfo): SetExpr {
    let value: Expr = decl.elements!;
    while (value.kind === 'variable') value = value.value;
    const ctx = new Context(decl.family, decl.table, this);
    return evaluateElements(ctx, set, asSet(value), evaluate);
  }

  #initial(decl: SetDecl): void {
    if (decl.elements === undefined) return;
    const set = this.#sets.get(`${decl.family} ${decl.table} ${decl.name}`)!;
    const { elements } = this.#evaluateInitial(decl, set);
    if (this.#mergeInto(set, elements, origin(decl))) return;
    this.#sendElements(set, kernelElements(set, elements, set.empty), uapi.NFT_MSG_NEWSETELEM, 0, origin(decl));
    set.empty = set.empty && elements.length === 0;
  }

  #elements(object: Elements, msg: number, destroy: boolean, exclusive = false): void {
    const set = this.set(object.family, object.table, object.set);
    if (set === undefined) return fail(object.loc, `Could not process rule: No such file or directory`);
    const ctx = new Context(object.family, object.table, this);
    let value = object.elements;
    while (value.kind === 'variable') value = value.value;
    const deleting = msg === uapi.NFT_MSG_DELSETELEM;
    if (!deleting) checkStatements(set, asSet(value));
    // Data need not be repeated to delete.
    const shape =
      deleting && set.flags & (uapi.NFT_SET_MAP | uapi.NFT_SET_OBJECT) && asSet(value).elements.every((e) => !e.data)
        ? { ...set, flags: set.flags & ~(uapi.NFT_SET_MAP | uapi.NFT_SET_OBJECT) }
        : set;
    const { elements } = evaluateElements(ctx, shape, asSet(value), evaluate);
    if (!deleting && set.id === 0 && set.empty && set.flags & uapi.NFT_SET_INTERVAL)
      set.empty = this.#kernelSetEmpty(set);
    if (!deleting && this.#mergeInto(set, elements, origin(object))) return;
    const list = kernelElements(shape, elements, !deleting && set.empty);
    if (!deleting) set.empty = false;
    const type = destroy ? NFT_MSG_DESTROY[msg] : msg;
    this.#sendElements(set, list, type, exclusive ? NLM_F_EXCL : 0, origin(object));
  }

  /** Adds to an auto-merge set that may have elements. False when this is no such set. */
  #mergeInto(set: SetInfo, elements: readonly ElementExpr[], from: Origin): boolean {
    if (!set.autoMerge || !(set.flags & uapi.NFT_SET_INTERVAL) || set.key.type?.parts !== undefined) return false;
    if (set.flags & (uapi.NFT_SET_MAP | uapi.NFT_SET_OBJECT)) return false;
    const plain = (e: ElementExpr): boolean =>
      e.key.kind !== 'catchall' && e.stmts === undefined && e.timeout === undefined && e.comment === undefined;
    if (!elements.every(plain)) return false;
    if (set.ranges === undefined) {
      const messages = this.#flushed ? [] : this.#elementsOf(set);
      set.ranges = readRanges(messages, set.key.len!);
    }
    const first = set.ranges.length === 0;
    const { gone, fresh } = mergeRanges(
      set.ranges,
      elements.map((e) => bounds(e.key)),
    );
    const members = (ranges: readonly Range[], lower: boolean): KernelElement[] =>
      kernelElements(
        set,
        ranges.map((range) => rangeElement(set, range)),
        lower,
      );
    this.#sendElements(set, members(gone, false), uapi.NFT_MSG_DELSETELEM, 0, from);
    this.#sendElements(set, members(fresh, first), uapi.NFT_MSG_NEWSETELEM, 0, from);
    set.empty = false;
    return true;
  }

  #sendElements(set: SetInfo, list: readonly KernelElement[], msg: number, flags: number, from: Origin): void {
    const create = msg === uapi.NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
    let at = 0;
    while (at < list.length) {
      this.batch.add(msg, FAMILY_NUMBERS[set.family], create | flags, from, (w) => {
        w.string(uapi.NFTA_SET_ELEM_LIST_TABLE, set.table).string(uapi.NFTA_SET_ELEM_LIST_SET, set.name);
        if (set.id !== 0) w.beU32(uapi.NFTA_SET_ELEM_LIST_SET_ID, set.id);
        const limit = w.length + MAX_LIST_BYTES;
        w.nest(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, (n) => {
          while (at < list.length && n.length < limit) writeElement(n, list[at++]);
        });
      });
    }
  }

  #rule(written: Rule, how: 'add' | 'insert' | 'replace'): void {
    this.#pending = [];
    const rule = evaluateRule(written, this);
    const exprs = linearizeRule(rule);
    const family = FAMILY_NUMBERS[rule.family];
    const from = origin(written);
    for (const set of this.#pending) this.#anonymous(set, from);
    if (this.#debugNetlink) this.#debugRule(rule, exprs);
    const flags = how === 'replace' ? NLM_F_REPLACE : how === 'add' ? NLM_F_CREATE | NLM_F_APPEND : NLM_F_CREATE;
    const position = how === 'replace' ? undefined : this.#position(written);
    const id = ++this.#ruleId;
    if (how !== 'replace') this.#orderOf(written).add(id, how === 'insert', position);
    this.batch.add(uapi.NFT_MSG_NEWRULE, family, flags | NLM_F_ECHO, { ...from, rule: written }, (w) => {
      w.string(uapi.NFTA_RULE_TABLE, rule.table).string(uapi.NFTA_RULE_CHAIN, rule.chain);
      if (how === 'replace') w.beU64(uapi.NFTA_RULE_HANDLE, rule.handle!.id!);
      else {
        w.beU32(uapi.NFTA_RULE_ID, id);
        if (typeof position === 'bigint') w.beU64(uapi.NFTA_RULE_POSITION, position);
        else if (position !== undefined) w.beU32(uapi.NFTA_RULE_POSITION_ID, position);
      }
      encodeExprs(w, uapi.NFTA_RULE_EXPRESSIONS, exprs);
      if (rule.comment !== undefined)
        w.bytes(uapi.NFTA_RULE_USERDATA, emitUdata([udataString(UDATA_COMMENT, rule.comment)]));
    });
  }

  #orderOf(rule: Rule): RuleOrder {
    const key = `${rule.family} ${rule.table} ${rule.chain}`;
    let order = this.#orders.get(key);
    if (order === undefined) {
      const fresh = this.#flushed || this.#emptied.has(key) || this.#emptied.has(`${rule.family} ${rule.table}`);
      order = new RuleOrder(() => (fresh ? [] : this.#handles(rule)));
      this.#orders.set(key, order);
    }
    return order;
  }

  /** The chain's rules in the kernel. */
  #handles(rule: Rule): bigint[] {
    const messages = this.#dump(uapi.NFT_MSG_GETRULE, FAMILY_NUMBERS[rule.family], (w) => {
      w.string(uapi.NFTA_RULE_TABLE, rule.table).string(uapi.NFTA_RULE_CHAIN, rule.chain);
    });
    return messages.flatMap((m) => {
      const attrs = attrMap(m.payload, NFGENMSG_LENGTH);
      const chain = attrs.get(uapi.NFTA_RULE_CHAIN);
      const own = attrs.get(uapi.NFTA_RULE_HANDLE);
      return own === undefined || chain === undefined || getString(chain.payload) !== rule.chain
        ? []
        : [getBeU64(own.payload)];
    });
  }

  /** The rule that a new one stands beside. */
  #position(rule: Rule): RuleName | undefined {
    const { handle } = rule;
    if (handle === undefined) return undefined;
    if (handle.position !== undefined) return handle.position;
    if (handle.index === undefined) return handle.id;
    return this.#orderOf(rule).at(handle.index) ?? fail(rule.loc, 'Could not process rule: No such file or directory');
  }

  #anonymous(set: SetInfo, from: Origin): void {
    const elements = set.elements === undefined ? [] : kernelElements(set, set.elements.elements, true);
    const count = set.elements === undefined ? undefined : elements.length;
    if (this.#debugNetlink) {
      this.debug += `${set.name} ${set.table} ${set.flags.toString(16)}${count === undefined ? '' : ` size ${count}`}\n`;
      this.debug += `${set.name} ${set.table} 0\n`;
      if (elements.length > 0) this.debug += `${elements.map((e) => `\t${debugElement(e)}`).join('')}\n`;
    }
    this.batch.add(uapi.NFT_MSG_NEWSET, FAMILY_NUMBERS[set.family], NLM_F_CREATE, from, (w) =>
      writeSet(w, set, [], count),
    );
    this.#sendElements(set, elements, uapi.NFT_MSG_NEWSETELEM, 0, from);
  }

  #debugRule(rule: Rule, exprs: readonly KernelExpr[]): void {
    this.debug += `${rule.family} ${rule.table} ${rule.chain} \n`;
    this.debug += `${exprs.map((e) => `  ${debugExpr(e)}\n`).join('')}\n`;
  }

  #delete(target: Target, destroy: boolean): void {
    const from = named(target);
    const family = FAMILY_NUMBERS[target.family ?? 'ip'];
    const { handle } = target;
    const send = (msg: number, fill: (w: AttrWriter) => void): void =>
      this.batch.add(destroy ? NFT_MSG_DESTROY[msg] : msg, family, 0, from, fill);
    const table = target.table ?? '';
    switch (target.what) {
      case 'table':
        this.#forget(target.family ?? 'ip', table);
        send(uapi.NFT_MSG_DELTABLE, (w) => {
          if (handle?.id !== undefined) w.beU64(uapi.NFTA_TABLE_HANDLE, handle.id);
          else w.string(uapi.NFTA_TABLE_NAME, table);
        });
        return;
      case 'chain':
        send(uapi.NFT_MSG_DELCHAIN, (w) => {
          w.string(uapi.NFTA_CHAIN_TABLE, table);
          if (handle?.id !== undefined) w.beU64(uapi.NFTA_CHAIN_HANDLE, handle.id);
          else w.string(uapi.NFTA_CHAIN_NAME, target.name!);
        });
        return;
      case 'rule':
        send(uapi.NFT_MSG_DELRULE, (w) => {
          w.string(uapi.NFTA_RULE_TABLE, table).string(uapi.NFTA_RULE_CHAIN, target.name!);
          if (handle?.id !== undefined) w.beU64(uapi.NFTA_RULE_HANDLE, handle.id);
        });
        return;
      case 'set':
      case 'map':
      case 'meter':
        if (target.name !== undefined) this.#sets.delete(`${target.family} ${table} ${target.name}`);
        send(uapi.NFT_MSG_DELSET, (w) => {
          w.string(uapi.NFTA_SET_TABLE, table);
          if (handle?.id !== undefined) w.beU64(uapi.NFTA_SET_HANDLE, handle.id);
          else w.string(uapi.NFTA_SET_NAME, target.name!);
        });
        return;
      case 'flowtable':
        send(uapi.NFT_MSG_DELFLOWTABLE, (w) => {
          w.string(uapi.NFTA_FLOWTABLE_TABLE, table);
          if (handle?.id !== undefined) w.beU64(uapi.NFTA_FLOWTABLE_HANDLE, handle.id);
          else w.string(uapi.NFTA_FLOWTABLE_NAME, target.name!);
        });
        return;
    }
    const type = OBJECT_NUMBERS[target.what];
    if (type === undefined) fail(target.loc, `netloom does not support deleting ${target.what}`);
    send(uapi.NFT_MSG_DELOBJ, (w) => {
      w.string(uapi.NFTA_OBJ_TABLE, table).beU32(uapi.NFTA_OBJ_TYPE, type);
      if (handle?.id !== undefined) w.beU64(uapi.NFTA_OBJ_HANDLE, handle.id);
      else w.string(uapi.NFTA_OBJ_NAME, target.name!);
    });
  }

  /** What was declared in a table that goes away no longer counts. */
  #forget(family: Family, table: string): void {
    for (const key of [...this.#sets.keys()]) if (key.startsWith(`${family} ${table} `)) this.#sets.delete(key);
    this.#known.add(`${family} ${table}`);
    this.#empty(`${family} ${table}`);
  }

  /** The rules of a table or of a chain go away. */
  #empty(key: string): void {
    this.#emptied.add(key);
    for (const one of [...this.#orders.keys()]) if (one === key || one.startsWith(`${key} `)) this.#orders.delete(one);
  }

  #flush(target: Target): void {
    const from = named(target);
    const family = target.family === undefined ? 0 : FAMILY_NUMBERS[target.family];
    switch (target.what) {
      case 'ruleset':
        if (target.family === undefined) {
          this.#sets.clear();
          this.#orders.clear();
          this.#flushed = true;
        } else
          for (const key of [...this.#sets.keys()]) if (key.startsWith(`${target.family} `)) this.#sets.delete(key);
        this.batch.add(uapi.NFT_MSG_DELTABLE, family, 0, from, () => {});
        return;
      case 'table':
      case 'chain':
        this.#empty([target.family, target.table, ...(target.what === 'chain' ? [target.name] : [])].join(' '));
        this.batch.add(uapi.NFT_MSG_DELRULE, family, 0, from, (w) => {
          w.string(uapi.NFTA_RULE_TABLE, target.table!);
          if (target.what === 'chain') w.string(uapi.NFTA_RULE_CHAIN, target.name!);
        });
        return;
      case 'set':
      case 'map':
      case 'meter': {
        const set = this.set(target.family!, target.table!, target.name!);
        const isMap = set !== undefined && (set.flags & (uapi.NFT_SET_MAP | uapi.NFT_SET_OBJECT)) !== 0;
        const isMeter = set !== undefined && (set.flags & uapi.NFT_SET_ANONYMOUS) !== 0;
        const kind = isMeter ? 'meter' : isMap ? 'map' : 'set';
        if (set === undefined || target.what !== kind) return fail(target.loc, 'No such file or directory');
        set.empty = true;
        set.ranges = [];
        this.batch.add(uapi.NFT_MSG_DELSETELEM, family, 0, from, (w) => {
          w.string(uapi.NFTA_SET_ELEM_LIST_TABLE, target.table!).string(uapi.NFTA_SET_ELEM_LIST_SET, target.name!);
        });
        return;
      }
      default:
        fail(target.loc, `netloom does not support flushing ${target.what}`);
    }
  }

  #rename(target: Target, name: string): void {
    const { family, table } = target;
    const chains = this.#dump(uapi.NFT_MSG_GETCHAIN, FAMILY_NUMBERS[family!], (w) => {
      w.string(uapi.NFTA_CHAIN_TABLE, table!);
    });
    const found = chains
      .map((m) => attrMap(m.payload, NFGENMSG_LENGTH))
      .find((attrs) => {
        const own = attrs.get(uapi.NFTA_CHAIN_NAME);
        const of = attrs.get(uapi.NFTA_CHAIN_TABLE);
        return own && of && getString(own.payload) === target.name && getString(of.payload) === table;
      });
    const handle = found?.get(uapi.NFTA_CHAIN_HANDLE);
    if (handle === undefined) return fail(target.loc, 'Could not process rule: No such file or directory');
    this.batch.add(
      uapi.NFT_MSG_NEWCHAIN,
      FAMILY_NUMBERS[family!],
      0,
      { ...(target.loc && { loc: target.loc }) },
      (w) => {
        w.string(uapi.NFTA_CHAIN_TABLE, table!);
        w.beU64(uapi.NFTA_CHAIN_HANDLE, getBeU64(handle.payload));
        w.string(uapi.NFTA_CHAIN_NAME, name);
      },
    );
  }

  /** `nft get element`, `nft reset element`: the declaration's set and the members asked for. Throws NetlinkError. */
  get(object: Elements, view: SetEntry, reset: boolean): ElementExpr[] {
    const set = this.set(object.family, object.table, object.set);
    if (set === undefined) return fail(object.loc, 'No such file or directory');
    let value = object.elements;
    while (value.kind === 'variable') value = value.value;
    const shape = { ...set, flags: set.flags & ~(uapi.NFT_SET_MAP | uapi.NFT_SET_OBJECT) };
    const ctx = new Context(object.family, object.table, this);
    const { elements } = evaluateElements(ctx, shape, asSet(value), evaluate);
    return getElements(this.#socket, shape, view, elements, reset);
  }

  send(check: boolean): ReturnType<Batch['send']> {
    return this.batch.send(this.#socket, check);
  }
}

function origin(object: { readonly loc?: import('./source.ts').Location }): Origin {
  return object.loc === undefined ? {} : { loc: object.loc };
}

/** What counts in an element must be what the set declares, in its order. */
function checkStatements(set: SetInfo, value: SetExpr): void {
  if (set.stmts.length === 0) return;
  for (const { key, stmts } of value.elements) {
    if (stmts === undefined || stmts.length === 0) continue;
    if (stmts.length !== set.stmts.length)
      fail(key, `number of statements mismatch, set expects ${set.stmts.length} but element has ${stmts.length}`);
    stmts.forEach((s, i) => {
      const wanted = set.stmts[i].kind;
      if (s.kind !== wanted) fail(s, `statement mismatch, element expects ${s.kind}, but set has type ${wanted}`);
    });
  }
}

/** A single member is a set of one. */
function asSet(value: Expr): SetExpr {
  if (value.kind === 'set') return value;
  if (value.kind === 'list') return { kind: 'set', elements: value.items.map((key) => ({ kind: 'element', key })) };
  return { kind: 'set', elements: [{ kind: 'element', key: value }] };
}

/** The place of what a command names: its last name, or the handle. */
function named(target: Target): Origin {
  const { loc, handle } = target;
  const name = handle?.id !== undefined ? String(handle.id) : (target.name ?? target.table);
  if (loc === undefined || name === undefined) return loc === undefined ? {} : { loc };
  const at = loc.source.text.lastIndexOf(name, loc.end - 1);
  return { loc: at < loc.start ? loc : { ...loc, start: at, end: at + name.length } };
}

/** A set of the kernel's dump. */
function readSet(m: Message, family: Family): SetInfo | undefined {
  const attrs = attrMap(m.payload, NFGENMSG_LENGTH);
  const u32 = (type: number): number | undefined => {
    const attr = attrs.get(type);
    return attr === undefined ? undefined : getBeU32(attr.payload);
  };
  const name = attrs.get(uapi.NFTA_SET_NAME);
  const table = attrs.get(uapi.NFTA_SET_TABLE);
  if (name === undefined || table === undefined) return undefined;
  const flags = u32(uapi.NFTA_SET_FLAGS) ?? 0;
  const keyLen = (u32(uapi.NFTA_SET_KEY_LEN) ?? 0) * 8;
  const desc = attrs.get(uapi.NFTA_SET_DESC);
  const concat = desc === undefined ? undefined : attrMap(desc.payload).get(uapi.NFTA_SET_DESC_CONCAT);
  const lengths =
    concat === undefined
      ? []
      : readAttrs(concat.payload).map((e) => {
          const len = attrMap(e.payload).get(uapi.NFTA_SET_FIELD_LEN);
          return len === undefined ? 0 : getBeU32(len.payload) * 8;
        });
  const udata = attrs.get(uapi.NFTA_SET_USERDATA);
  const order = udata && parseUdata(udata.payload).find((tlv) => tlv.type === UDATA_SET_KEYBYTEORDER);
  const merge = udata && parseUdata(udata.payload).some((tlv) => tlv.type === UDATA_SET_MERGE_ELEMENTS && tlv.value[0]);
  const key = keyExpr(u32(uapi.NFTA_SET_KEY_TYPE) ?? 0, keyLen, lengths, order?.value[0]);
  if (key === undefined) return undefined;
  const one = attrs.get(uapi.NFTA_SET_EXPR);
  const many = attrs.get(uapi.NFTA_SET_EXPRESSIONS);
  const exprs = one ? [decodeExpr(one)] : many ? decodeExprs(many) : [];
  const dataType = u32(uapi.NFTA_SET_DATA_TYPE);
  const dataLen = (u32(uapi.NFTA_SET_DATA_LEN) ?? 0) * 8;
  const data =
    dataType === undefined || !(flags & uapi.NFT_SET_MAP)
      ? undefined
      : dataType === uapi.NFT_DATA_VERDICT
        ? build.constant(dt.verdictType, 0n)
        : keyExpr(dataType, dataLen, [], undefined);
  return {
    family,
    table: getString(table.payload),
    name: getString(name.payload),
    id: 0,
    flags,
    key,
    ...(data && {
      data: { type: data.type!, len: data.len ?? 0, byteorder: data.byteorder ?? 'invalid', expr: data },
      ...(data.kind !== 'concat' && data.type!.size > 0 && dataLen >= data.type!.size * 2 && { dataInterval: true }),
    }),
    // A count of none may still be one interval without an end: the elements tell, when it matters.
    empty: (u32(uapi.NFTA_SET_COUNT) ?? 0) === 0,
    ...(merge && { autoMerge: true }),
    stmts: exprs.flatMap((e) => simpleStmt(e) ?? []),
  };
}

function keyExpr(id: number, len: number, lengths: readonly number[], order: number | undefined): Expr | undefined {
  const type = dt.datatypeById(id);
  if (type === undefined) return undefined;
  if (type.parts === undefined) {
    const byteorder = type.byteorder !== 'invalid' ? type.byteorder : order === 2 ? 'big' : 'host';
    return {
      ...build.constant(type, 0n),
      byteorder,
      len: type.size > 0 && type.size < len ? type.size : len || type.size,
    };
  }
  // One member of unknown size has what the others leave.
  const known = type.parts.reduce((sum, part) => sum + ((part.size + 31) & ~31), 0);
  const parts = type.parts.map((part, i) => ({
    ...build.constant(part, 0n),
    byteorder: part.byteorder === 'invalid' ? ('big' as const) : part.byteorder,
    len: lengths[i] !== undefined && lengths[i] > part.size ? lengths[i] : part.size || Math.max(0, len - known),
  }));
  return { kind: 'concat', parts, type, byteorder: 'invalid', len };
}
