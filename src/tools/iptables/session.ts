/**
 * The tool's view of nf_tables on one host and the batch it is about to send: tables and chains are read once, rules of a
 * chain when they are needed; changes are queued and go to the kernel together.
 */
import { strerror } from '../../core/errno.ts';
import { AttrWriter, attrMap, getBeU32, getBeU64, getString } from '../../wire/netlink/attr.ts';
import { emitMessages, type Message, type NetlinkSocket, readAck } from '../../wire/netlink/message.ts';
import {
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_NONREC,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
} from '../../wire/uapi/netlink.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES } from '../../wire/uapi/nfnetlink.ts';
import type { KernelExpr } from '../nft/expr/types.ts';
import { type BuiltInChain, builtIn } from './built-in.ts';
import { readExpressions, writeExpressions } from './codec.ts';
import { IptablesError, OTHER_PROBLEM, RESOURCE_PROBLEM } from './errors.ts';
import type { Use } from './extension.ts';
import { fromKernel } from './from-kernel.ts';
import type { Rule } from './rule.ts';
import { type SetNames, setNames } from './set-names.ts';
import { toKernel } from './to-kernel.ts';

/** Where a change came from, for errors and for answers. */
export type Origin = { readonly line: number; readonly text: string };

/** A rule known to the kernel (it has a handle) or waiting in the batch. */
export type Held<R = Rule> = {
  rule: R;
  handle: bigint | undefined;
  /** NFTA_RULE_ID, given when something else in the batch refers to the rule. */
  id: number;
};

export type HeldChain<R = Rule> = {
  readonly name: string;
  handle: bigint | undefined;
  /** Set for base chains. */
  readonly base: { readonly hook: number; readonly priority: number; readonly type: string } | undefined;
  policy: number;
  packets: bigint;
  bytes: bigint;
  /** The kernel's count of jumps and rules. */
  readonly use: number;
  /** Rules; undefined until they are needed. */
  rules: Held<R>[] | undefined;
  /** Changes queued before the rules were read. */
  readonly before: Held<R>[];
  readonly after: Held<R>[];
};

export type HeldTable<R = Rule> = {
  readonly name: string;
  exists: boolean;
  readonly chains: Map<string, HeldChain<R>>;
};

/** What sets the tools of the family apart for a session: protocol family, base chains, and the form of rules. */
export type Dialect<R> = {
  /** NFPROTO_*. */
  readonly nfproto: number;
  builtIn(table: string): readonly BuiltInChain[] | undefined;
  toKernel(rule: R): KernelExpr[];
  fromKernel(exprs: readonly KernelExpr[], userdata: Uint8Array | undefined): R;
  /** NFTA_RULE_USERDATA. */
  userdata?(rule: R): Uint8Array | undefined;
  /** NFTA_RULE_COMPAT: the protocol that extensions may rely on. */
  compat(rule: R): { readonly proto: number; readonly invert: boolean };
  /** Uses of extensions, to find the names of sets for. */
  uses(rule: R): readonly Use[];
};

/** iptables and ip6tables. */
export function ipDialect(family: 4 | 6): Dialect<Rule> {
  return {
    nfproto: family === 4 ? 2 : 10,
    builtIn,
    toKernel,
    fromKernel: (exprs) => fromKernel(exprs, family),
    compat: (rule) => ({ proto: rule.proto, invert: rule.protoInvert }),
    uses: (rule) =>
      rule.target !== undefined && 'use' in rule.target ? [...rule.matches, rule.target.use] : rule.matches,
  };
}

/** One queued message. */
type Change<R> = {
  readonly type: number;
  readonly flags: number;
  readonly what: string;
  readonly origin: Origin | undefined;
  readonly held?: Held<R>;
  readonly chain?: HeldChain<R>;
  readonly table: string;
  fill(w: AttrWriter): void;
};

/** A rule that the kernel took, with its handle. */
export type Loaded = {
  readonly table: string;
  readonly chain: string;
  readonly handle: bigint;
  readonly origin: Origin;
};

const fresh = <R>(name: string, base: HeldChain['base']): HeldChain<R> => ({
  name,
  handle: undefined,
  base,
  policy: 1,
  packets: 0n,
  bytes: 0n,
  use: 0,
  rules: [],
  before: [],
  after: [],
});

function writeRuleBody<R>(w: AttrWriter, rule: R, dialect: Dialect<R>): void {
  writeExpressions(w, U.NFTA_RULE_EXPRESSIONS, dialect.toKernel(rule));
  const userdata = dialect.userdata?.(rule);
  if (userdata !== undefined) w.bytes(U.NFTA_RULE_USERDATA, userdata);
  const { proto, invert } = dialect.compat(rule);
  w.nest(U.NFTA_RULE_COMPAT, (n) =>
    n.beU32(U.NFTA_RULE_COMPAT_PROTO, proto).beU32(U.NFTA_RULE_COMPAT_FLAGS, invert ? 2 : 0),
  );
}

export class Session<R = Rule> {
  readonly dialect: Dialect<R>;
  readonly #socket: NetlinkSocket;
  #tables: Map<string, HeldTable<R>> | undefined;
  #changes: Change<R>[] = [];
  #ids = 0;
  #seq = 1;
  #echo = false;
  #sets: SetNames | undefined;
  /** Rules taken by the kernel so far, when asked for. */
  readonly loaded: Loaded[] = [];

  constructor(socket: NetlinkSocket, dialect: Dialect<R>, echo = false) {
    this.#socket = socket;
    this.dialect = dialect;
    this.#echo = echo;
  }

  get #nfproto(): number {
    return this.dialect.nfproto;
  }

  #message(type: number, flags: number, seq: number, fill: (w: AttrWriter) => void): Message {
    const w = new AttrWriter().raw(Uint8Array.of(this.#nfproto, 0, 0, 0));
    fill(w);
    return {
      type: (NFNL_SUBSYS_NFTABLES << 8) | type,
      flags: NLM_F_REQUEST | flags,
      seq,
      port: 0,
      payload: w.finish(),
    };
  }

  #dump(type: number, fill: (w: AttrWriter) => void): Message[] {
    const message = this.#message(type, NLM_F_DUMP, this.#seq++, fill);
    const replies = this.#socket.send(emitMessages([message]));
    for (const reply of replies) {
      const ack = readAck(reply);
      if (ack !== undefined && ack.errno !== 0)
        throw new IptablesError(RESOURCE_PROBLEM, `Could not fetch rule set generation id: ${strerror(ack.errno)}`);
    }
    return replies.filter((m) => m.type !== NLMSG_ERROR && m.type !== NLMSG_DONE && m.payload[0] === this.#nfproto);
  }

  /** Tables of this family, by name. */
  tables(): Map<string, HeldTable<R>> {
    if (this.#tables !== undefined) return this.#tables;
    const tables = new Map<string, HeldTable<R>>();
    for (const m of this.#dump(U.NFT_MSG_GETTABLE, () => {})) {
      const name = attrMap(m.payload, 4).get(U.NFTA_TABLE_NAME);
      if (name) tables.set(getString(name.payload), { name: getString(name.payload), exists: true, chains: new Map() });
    }
    for (const m of this.#dump(U.NFT_MSG_GETCHAIN, () => {})) this.#readChain(tables, m);
    this.#tables = tables;
    return tables;
  }

  #readChain(tables: Map<string, HeldTable<R>>, m: Message): void {
    const attrs = attrMap(m.payload, 4);
    const text = (type: number): string => {
      const attr = attrs.get(type);
      return attr === undefined ? '' : getString(attr.payload);
    };
    const table = tables.get(text(U.NFTA_CHAIN_TABLE));
    if (table === undefined) return;
    const hook = attrs.get(U.NFTA_CHAIN_HOOK);
    const hookAttrs = hook && attrMap(hook.payload);
    const word = (map: ReadonlyMap<number, { payload: Uint8Array }> | undefined, type: number): number => {
      const attr = map?.get(type);
      return attr === undefined ? 0 : getBeU32(attr.payload);
    };
    const counters = attrs.get(U.NFTA_CHAIN_COUNTERS);
    const counts = counters && attrMap(counters.payload);
    const long = (type: number): bigint => {
      const attr = counts?.get(type);
      return attr === undefined ? 0n : getBeU64(attr.payload);
    };
    const handle = attrs.get(U.NFTA_CHAIN_HANDLE);
    const name = text(U.NFTA_CHAIN_NAME);
    table.chains.set(name, {
      ...fresh(
        name,
        hookAttrs && {
          hook: word(hookAttrs, U.NFTA_HOOK_HOOKNUM),
          priority: word(hookAttrs, U.NFTA_HOOK_PRIORITY) | 0,
          type: text(U.NFTA_CHAIN_TYPE),
        },
      ),
      handle: handle && getBeU64(handle.payload),
      policy: attrs.has(U.NFTA_CHAIN_POLICY) ? word(attrs, U.NFTA_CHAIN_POLICY) : 1,
      packets: long(U.NFTA_COUNTER_PACKETS),
      bytes: long(U.NFTA_COUNTER_BYTES),
      use: word(attrs, U.NFTA_CHAIN_USE),
      rules: undefined,
    });
  }

  /** A table, there or not yet. */
  table(name: string): HeldTable<R> {
    const tables = this.tables();
    let table = tables.get(name);
    if (table === undefined) {
      table = { name, exists: false, chains: new Map() };
      tables.set(name, table);
    }
    return table;
  }

  chain(table: string, name: string): HeldChain<R> | undefined {
    return this.tables().get(table)?.chains.get(name);
  }

  /** The ipset sets of the host. */
  get sets(): SetNames {
    this.#sets ??= setNames(this.#socket, this.#nfproto);
    return this.#sets;
  }

  #resolved(rule: R): R {
    for (const use of this.dialect.uses(rule)) use.ext.resolve?.(use.state, this.sets);
    return rule;
  }

  /** The rules of a chain, queued changes included. */
  rules(table: string, chain: HeldChain<R>): Held<R>[] {
    if (chain.rules !== undefined) return chain.rules;
    const held: Held<R>[] = [];
    const replies = this.#dump(U.NFT_MSG_GETRULE, (w) =>
      w.string(U.NFTA_RULE_TABLE, table).string(U.NFTA_RULE_CHAIN, chain.name),
    );
    for (const m of replies) {
      const attrs = attrMap(m.payload, 4);
      const handle = attrs.get(U.NFTA_RULE_HANDLE);
      const exprs = attrs.get(U.NFTA_RULE_EXPRESSIONS);
      held.push({
        rule: this.#resolved(
          this.dialect.fromKernel(
            exprs ? readExpressions(exprs.payload) : [],
            attrs.get(U.NFTA_RULE_USERDATA)?.payload,
          ),
        ),
        handle: handle && getBeU64(handle.payload),
        id: 0,
      });
    }
    chain.rules = [...chain.before, ...held, ...chain.after];
    return chain.rules;
  }

  #push(change: Change<R>): void {
    this.#changes.push(change);
  }

  #needTable(name: string, origin: Origin | undefined): HeldTable<R> {
    const table = this.table(name);
    if (!table.exists) {
      table.exists = true;
      this.#push({
        type: U.NFT_MSG_NEWTABLE,
        flags: NLM_F_CREATE,
        what: `TABLE_ADD failed (%s): table ${name}`,
        origin,
        table: name,
        fill: (w) => w.string(U.NFTA_TABLE_NAME, name),
      });
    }
    return table;
  }

  #baseChain(
    w: AttrWriter,
    table: string,
    chain: BuiltInChain,
    policy: number,
    counters?: readonly [bigint, bigint],
  ): void {
    w.string(U.NFTA_CHAIN_TABLE, table).string(U.NFTA_CHAIN_NAME, chain.name);
    w.nest(U.NFTA_CHAIN_HOOK, (n) =>
      n.beU32(U.NFTA_HOOK_HOOKNUM, chain.hook).beU32(U.NFTA_HOOK_PRIORITY, chain.priority),
    );
    w.beU32(U.NFTA_CHAIN_POLICY, policy);
    if (counters)
      w.nest(U.NFTA_CHAIN_COUNTERS, (n) =>
        n.beU64(U.NFTA_COUNTER_PACKETS, counters[0]).beU64(U.NFTA_COUNTER_BYTES, counters[1]),
      );
    w.string(U.NFTA_CHAIN_TYPE, chain.type);
  }

  /** Makes a base chain when it is not there. Undefined when the table has no such base chain. */
  ensureBase(tableName: string, name: string, origin?: Origin): HeldChain<R> | undefined {
    const found = this.chain(tableName, name);
    if (found !== undefined) return found;
    const spec = this.dialect.builtIn(tableName)?.find((chain) => chain.name === name);
    if (spec === undefined) return undefined;
    const table = this.#needTable(tableName, origin);
    const chain = fresh<R>(name, { hook: spec.hook, priority: spec.priority, type: spec.type });
    table.chains.set(name, chain);
    this.#push({
      type: U.NFT_MSG_NEWCHAIN,
      flags: NLM_F_CREATE,
      what: `CHAIN_ADD failed (%s): chain ${name}`,
      origin,
      table: tableName,
      fill: (w) => this.#baseChain(w, tableName, spec, 1),
    });
    return chain;
  }

  /** Sets policy and counters of a base chain. */
  setPolicy(tableName: string, name: string, policy: number, packets = 0n, bytes = 0n, origin?: Origin): void {
    const chain = this.ensureBase(tableName, name, origin);
    const spec = this.dialect.builtIn(tableName)?.find((c) => c.name === name);
    if (chain === undefined || spec === undefined) return;
    chain.policy = policy;
    chain.packets = packets;
    chain.bytes = bytes;
    this.#push({
      type: U.NFT_MSG_NEWCHAIN,
      flags: 0,
      what: `CHAIN_UPDATE failed (%s): chain ${name}`,
      origin,
      table: tableName,
      fill: (w) => this.#baseChain(w, tableName, spec, policy, [packets, bytes]),
    });
  }

  addUserChain(tableName: string, name: string, origin?: Origin): void {
    const table = this.#needTable(tableName, origin);
    table.chains.set(name, fresh(name, undefined));
    this.#push({
      type: U.NFT_MSG_NEWCHAIN,
      flags: NLM_F_EXCL | NLM_F_CREATE,
      what: `CHAIN_USER_ADD failed (%s): chain ${name}`,
      origin,
      table: tableName,
      fill: (w) => w.string(U.NFTA_CHAIN_TABLE, tableName).string(U.NFTA_CHAIN_NAME, name),
    });
  }

  deleteChain(tableName: string, chain: HeldChain<R>, origin?: Origin): void {
    this.tables().get(tableName)?.chains.delete(chain.name);
    this.#push({
      type: U.NFT_MSG_DELCHAIN,
      flags: NLM_F_NONREC,
      what: `CHAIN_DEL failed (%s): chain ${chain.name}`,
      origin,
      table: tableName,
      fill: (w) => w.string(U.NFTA_CHAIN_TABLE, tableName).string(U.NFTA_CHAIN_NAME, chain.name),
    });
  }

  renameChain(tableName: string, chain: HeldChain<R>, name: string): void {
    const table = this.table(tableName);
    table.chains.delete(chain.name);
    table.chains.set(name, { ...chain, name });
    this.#push({
      type: U.NFT_MSG_NEWCHAIN,
      flags: 0,
      what: `CHAIN_RENAME failed (%s): chain ${chain.name}`,
      origin: undefined,
      table: tableName,
      fill: (w) => {
        w.string(U.NFTA_CHAIN_TABLE, tableName);
        if (chain.handle !== undefined) w.beU64(U.NFTA_CHAIN_HANDLE, chain.handle);
        w.string(U.NFTA_CHAIN_NAME, name);
      },
    });
  }

  deleteTable(name: string): void {
    const table = this.table(name);
    if (!table.exists) return;
    table.exists = false;
    table.chains.clear();
    this.#push({
      type: U.NFT_MSG_DELTABLE,
      flags: 0,
      what: `TABLE_FLUSH failed (%s): table ${name}`,
      origin: undefined,
      table: name,
      fill: (w) => w.string(U.NFTA_TABLE_NAME, name),
    });
  }

  /** Takes all rules out of a chain, or of all chains. */
  flush(tableName: string, chain: HeldChain<R> | undefined, origin?: Origin): void {
    const table = this.table(tableName);
    if (!table.exists) return;
    for (const c of chain ? [chain] : table.chains.values()) {
      c.rules = [];
      c.before.length = 0;
      c.after.length = 0;
    }
    this.#push({
      type: U.NFT_MSG_DELRULE,
      flags: 0,
      what: `RULE_FLUSH failed (%s): ${chain ? `rule in chain ${chain.name}` : `table ${tableName}`}`,
      origin,
      table: tableName,
      fill: (w) => {
        w.string(U.NFTA_RULE_TABLE, tableName);
        if (chain) w.string(U.NFTA_RULE_CHAIN, chain.name);
      },
    });
  }

  /** Adds a rule: `at` undefined appends; otherwise it goes in front of the rule that is `at`-th now (0-based). */
  add(tableName: string, chain: HeldChain<R>, rule: R, at: number | undefined, origin?: Origin): void {
    const held: Held<R> = { rule, handle: undefined, id: 0 };
    let beside: Held<R> | undefined;
    const list = chain.rules;
    if (at === undefined) (list ?? chain.after).push(held);
    else if (at === 0) (list ?? chain.before).unshift(held);
    else {
      const rules = this.rules(tableName, chain);
      beside = rules[at];
      rules.splice(at, 0, held);
      if (beside.handle === undefined && beside.id === 0) beside.id = ++this.#ids;
    }
    this.#push({
      type: U.NFT_MSG_NEWRULE,
      flags: NLM_F_CREATE | (at === undefined ? NLM_F_APPEND : 0),
      what: `RULE_${at === undefined ? 'APPEND' : 'INSERT'} failed (%s): rule in chain ${chain.name}`,
      origin,
      held,
      chain,
      table: tableName,
      fill: (w) => {
        w.string(U.NFTA_RULE_TABLE, tableName).string(U.NFTA_RULE_CHAIN, chain.name);
        if (beside?.handle !== undefined) w.beU64(U.NFTA_RULE_POSITION, beside.handle);
        writeRuleBody(w, rule, this.dialect);
        if (held.id !== 0) w.beU32(U.NFTA_RULE_ID, held.id);
        if (beside !== undefined && beside.handle === undefined) w.beU32(U.NFTA_RULE_POSITION_ID, beside.id);
      },
    });
  }

  /** Puts a rule in place of the one at `at` (0-based). */
  replace(tableName: string, chain: HeldChain<R>, rule: R, at: number, origin?: Origin): void {
    const rules = this.rules(tableName, chain);
    const old = rules[at];
    if (old.handle === undefined) {
      this.add(tableName, chain, rule, at, origin);
      this.remove(tableName, chain, at + 1, origin);
      return;
    }
    const held: Held<R> = { rule, handle: undefined, id: 0 };
    rules[at] = held;
    const handle = old.handle;
    this.#push({
      type: U.NFT_MSG_NEWRULE,
      flags: NLM_F_CREATE | NLM_F_REPLACE,
      what: `RULE_REPLACE failed (%s): rule in chain ${chain.name}`,
      origin,
      held,
      chain,
      table: tableName,
      fill: (w) => {
        w.string(U.NFTA_RULE_TABLE, tableName).string(U.NFTA_RULE_CHAIN, chain.name).beU64(U.NFTA_RULE_HANDLE, handle);
        writeRuleBody(w, rule, this.dialect);
        if (held.id !== 0) w.beU32(U.NFTA_RULE_ID, held.id);
      },
    });
  }

  /** Takes out the rule at `at` (0-based). */
  remove(tableName: string, chain: HeldChain<R>, at: number, origin?: Origin): void {
    const [held] = this.rules(tableName, chain).splice(at, 1);
    if (held.handle === undefined && held.id === 0) held.id = ++this.#ids;
    this.#push({
      type: U.NFT_MSG_DELRULE,
      flags: 0,
      what: `RULE_DELETE failed (%s): rule in chain ${chain.name}`,
      origin,
      table: tableName,
      fill: (w) => {
        w.string(U.NFTA_RULE_TABLE, tableName).string(U.NFTA_RULE_CHAIN, chain.name);
        if (held.handle !== undefined) w.beU64(U.NFTA_RULE_HANDLE, held.handle);
        else w.beU32(U.NFTA_RULE_ID, held.id);
      },
    });
  }

  /** Sends what is queued. With `test` only as far as the kernel can check it. Throws IptablesError. */
  commit(test = false): void {
    const changes = this.#changes;
    this.#changes = [];
    if (changes.length === 0) return;
    const first = this.#seq;
    const frame = Uint8Array.of(0, 0, 0, NFNL_SUBSYS_NFTABLES);
    const messages: Message[] = [
      { type: NFNL_MSG_BATCH_BEGIN, flags: NLM_F_REQUEST, seq: this.#seq++, port: 0, payload: frame },
    ];
    const echo = this.#echo ? NLM_F_ECHO : 0;
    for (const change of changes) {
      const extra = change.held ? echo : 0;
      messages.push(this.#message(change.type, change.flags | extra, this.#seq++, (w) => change.fill(w)));
    }
    // Without the end the kernel checks the batch and takes nothing of it.
    if (!test)
      messages.push({
        type: NFNL_MSG_BATCH_END,
        flags: NLM_F_REQUEST | NLM_F_ACK,
        seq: this.#seq++,
        port: 0,
        payload: frame,
      });
    this.#answers(changes, first, this.#socket.send(emitMessages(messages)));
    // What was read before is out of date now.
    this.#tables = undefined;
  }

  #answers(changes: readonly Change<R>[], first: number, replies: readonly Message[]): void {
    const errors: string[] = [];
    let errno: number | undefined;
    for (const reply of replies) {
      const change = changes[reply.seq - first - 1];
      const ack = readAck(reply);
      if (ack === undefined) {
        this.#echoed(change, reply);
        continue;
      }
      if (ack.errno === 0) continue;
      errno ??= ack.errno;
      const detail = ack.message === undefined ? '' : `: ${ack.message}`;
      const text = (change?.what ?? 'batch failed (%s)').replace('%s', strerror(ack.errno)) + detail;
      errors.push(change?.origin === undefined ? ` ${text}` : `line ${change.origin.line}: ${text}`);
    }
    if (errors.length > 0) {
      const text = errors.join('\n');
      throw new IptablesError(RESOURCE_PROBLEM, text.startsWith('line') ? `\n${text}` : text, false, errno);
    }
  }

  #echoed(change: Change<R> | undefined, reply: Message): void {
    if (change?.held === undefined || change.chain === undefined || change.origin === undefined) return;
    if ((reply.type & 255) !== U.NFT_MSG_NEWRULE) return;
    const handle = attrMap(reply.payload, 4).get(U.NFTA_RULE_HANDLE);
    if (handle)
      this.loaded.push({
        table: change.table,
        chain: change.chain.name,
        handle: getBeU64(handle.payload),
        origin: change.origin,
      });
  }
}

/** Exit status 1 with the text of iptables for a failed command. */
export function commandFailed(text: string): IptablesError {
  return new IptablesError(OTHER_PROBLEM, text, true);
}
