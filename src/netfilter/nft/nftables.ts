/**
 * The nftables of one host: its tables, the generation number, batches. Message handlers are in `api/`, one file per
 * kind of object; this class finds objects for them and keeps transactions whole.
 */
import { EEXIST, EINVAL, EMLINK, ENOENT, EOPNOTSUPP, EPERM, KernelError } from '../../core/errno.ts';
import { type Attr, AttrWriter, attrMap, getString } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { NFNETLINK_V0, NFNL_SUBSYS_NFTABLES } from '../../wire/uapi/nfnetlink.ts';
import { XtState } from '../xt/state.ts';
import { CompiledChains } from './compile/chains.ts';
import { beU32 } from './data.ts';
import { type Expr, type InitContext, need, notFound, noUndo } from './expr.ts';
import type { NetfilterHost } from './host.ts';
import type { Chain, Rule, Table } from './model.ts';
import { EXPR_KINDS } from './registry.ts';
import { ChainRunner, JUMP_STACK_SIZE } from './run.ts';
import type { NftSet } from './set/set.ts';
import { Transaction } from './transaction.ts';

/** One request of a batch or outside of one, as handlers see it. */
export type Request = {
  /** NFT_MSG_*. */
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  /** NFPROTO_* of the nfgenmsg header. */
  readonly family: number;
  readonly attrs: ReadonlyMap<number, Attr>;
};

export class Nftables {
  readonly host: NetfilterHost;
  /** Its chains as eBPF programs; `compiled.mode` says when they are made. */
  readonly compiled: CompiledChains;
  readonly runner: ChainRunner;
  /** State that xt extensions share by name. */
  readonly xt: XtState = new XtState();
  readonly tables: Map<string, Table> = new Map();
  /** Generation number: grows with every committed batch. */
  generation = 1;
  /** Name of whoever committed last, for NFT_MSG_GETGEN. */
  #lastTableHandle = 0n;

  constructor(host: NetfilterHost) {
    this.host = host;
    this.compiled = new CompiledChains(
      host,
      () => this.tables.values(),
      () => this.generation,
      host.compile ?? 'lazy',
    );
    this.runner = new ChainRunner(host, this.compiled);
  }

  nextTableHandle(): bigint {
    this.#lastTableHandle++;
    return this.#lastTableHandle;
  }

  /** A table by family and name, or by handle; ENOENT when there is none. */
  table(family: number, name: Attr | undefined, handle?: Attr): Table {
    if (handle !== undefined && name === undefined) {
      const view = new DataView(handle.payload.buffer, handle.payload.byteOffset, handle.payload.length);
      const wanted = handle.payload.length === 8 ? view.getBigUint64(0) : -1n;
      for (const table of this.tables.values()) {
        if (table.handle === wanted && (family === 0 || table.family === family)) return table;
      }
      throw notFound(handle);
    }
    if (name === undefined) throw new KernelError(EINVAL);
    const table = this.tables.get(tableKey(family, getString(name.payload)));
    if (table === undefined) throw notFound(name);
    return table;
  }

  /** A chain of a table by name; ENOENT when there is none. */
  chain(table: Table, name: Attr | undefined): Chain {
    if (name === undefined) throw new KernelError(EINVAL);
    const chain = table.chains.get(getString(name.payload));
    if (chain === undefined) throw notFound(name);
    return chain;
  }

  /** What expressions need while they are made. */
  context(table: Table, chain: Chain | undefined, compat?: Rule['compat']): InitContext {
    const ctx: InitContext = {
      host: this.host,
      table,
      family: table.family,
      chain,
      compat,
      xt: this.xt,
      set: (name, id) => findSet(table, name, id),
      jumpTarget: (name, id) => {
        const target = name
          ? table.chains.get(getString(name.payload))
          : id
            ? [...table.chains.values()].find((c) => c.id !== 0 && c.id === beU32(id))
            : undefined;
        if (target === undefined) throw notFound(name ?? id);
        if (target.base !== undefined) throw new KernelError(EOPNOTSUPP, undefined, (name ?? id)?.offset);
        return target;
      },
      object: (type, name) => {
        const object = table.objects.get(objectKey(type, getString(name.payload)));
        if (object === undefined) throw notFound(name);
        return object;
      },
      nested: (attr) => this.expression(attr, ctx),
    };
    return ctx;
  }

  /** Makes an expression from an NFTA_LIST_ELEM (name and data). */
  expression(attr: Attr, ctx: InitContext): Expr {
    const attrs = attrMap(attr.payload);
    const nameAttr = need(attrs, U.NFTA_EXPR_NAME);
    const name = getString(nameAttr.payload);
    const kind = EXPR_KINDS.get(name);
    if (kind === undefined) throw new KernelError(ENOENT, `unknown expression "${name}"`, nameAttr.offset);
    const data = attrs.get(U.NFTA_EXPR_DATA);
    return kind.init(data ? attrMap(data.payload) : new Map(), ctx);
  }

  /** Makes several expressions; on an error those made are given back. */
  expressions(list: readonly Attr[], ctx: InitContext): Expr[] {
    const made: Expr[] = [];
    let at = 0;
    try {
      for (const attr of list) {
        at = attr.offset;
        made.push(this.expression(attr, ctx));
      }
    } catch (error) {
      for (const expr of made) expr.destroy?.(noUndo);
      // Whatever is wrong inside an expression, the position in the answer is the expression.
      if (error instanceof KernelError) throw new KernelError(error.errno, error.extack, at);
      throw error;
    }
    return made;
  }

  /** Checks every chain of the tables: jump depth and loops (EMLINK), expressions in hooks they do not fit. */
  validate(): void {
    for (const table of this.tables.values()) {
      // As in Linux, chains that no base chain reaches may jump in circles: no packet comes there.
      for (const chain of table.chains.values()) if (chain.base !== undefined) this.#walk(chain, chain, 0, new Map());
    }
  }

  #walk(base: Chain, chain: Chain, depth: number, seen: Map<Chain, number>): void {
    if (depth === JUMP_STACK_SIZE) throw new KernelError(EMLINK);
    // A chain already walked at this depth or a deeper one needs no second look.
    if ((seen.get(chain) ?? -1) >= depth) return;
    seen.set(chain, depth);
    for (const rule of chain.rules) {
      for (const expr of rule.exprs) {
        expr.validate?.(base);
        if (expr.targets) for (const target of expr.targets()) this.#walk(base, target, depth + 1, seen);
      }
    }
  }

  /** Begins a batch; `heard` when somebody listens to changes. */
  begin(heard = false): Transaction {
    return new Transaction(heard);
  }

  /** Ends a batch well: the new configuration is in force from here on. */
  commit(tx: Transaction): void {
    tx.commit();
    this.generation++;
  }
}

export function tableKey(family: number, name: string): string {
  return `${family} ${name}`;
}

export function objectKey(type: number, name: string): string {
  return `${type} ${name}`;
}

/** A set by name or batch id; ENOENT when there is none. */
export function findSet(table: Table, name: Attr | undefined, id: Attr | undefined): NftSet {
  if (name === undefined) throw new KernelError(EINVAL);
  const byName = table.sets.get(getString(name.payload));
  if (byName !== undefined) return byName;
  if (id !== undefined) {
    const wanted = beU32(id);
    let found: NftSet | undefined;
    for (const set of table.sets.values()) if (set.id === wanted) found = set;
    if (found !== undefined) return found;
  }
  throw notFound(name);
}

/** A message of the nf_tables subsystem. */
export function nftMessage(
  type: number,
  flags: number,
  request: Pick<Request, 'seq'>,
  family: number,
  generation: number,
  fill: (w: AttrWriter) => void,
): Message {
  const w = new AttrWriter(0);
  w.raw(Uint8Array.of(family, NFNETLINK_V0, (generation >> 8) & 255, generation & 255));
  fill(w);
  return { type: (NFNL_SUBSYS_NFTABLES << 8) | type, flags, seq: request.seq, port: 0, payload: w.finish() };
}

/** Refuses tables that belong to another netlink port. */
export function checkOwner(table: Table): void {
  if (table.owner !== 0) throw new KernelError(EPERM);
}

/** EEXIST about an attribute. */
export function exists(attr: Attr | undefined): KernelError {
  return new KernelError(EEXIST, undefined, attr?.offset);
}
