/**
 * The syntax tree of the nft language (nft(8)): expressions, statements, objects and commands, as readonly unions with a
 * `kind`. The parser makes them, evaluation gives every expression its type, the delinearizer builds the same nodes from
 * kernel expressions and the printers write them out.
 *
 * Sizes are in bits as in the language; an absent `type` means "not evaluated yet".
 */
import type { ByteOrder, Datatype } from './datatype.ts';
import type { ExthdrDesc } from './exthdr.ts';
import type { ProtoDesc } from './proto.ts';
import type { SetInfo } from './set-info.ts';
import type { Location } from './source.ts';

export type Family = 'ip' | 'ip6' | 'inet' | 'arp' | 'bridge' | 'netdev';

/** What every expression carries once it is evaluated. */
export type Typed = {
  readonly loc?: Location;
  readonly type?: Datatype;
  readonly byteorder?: ByteOrder;
  /** Length in bits. */
  readonly len?: number;
};

/** A word or number as written; its meaning comes from the type that its place expects. */
export type SymbolExpr = Typed & { readonly kind: 'symbol'; readonly text: string; readonly quoted?: boolean };
/** A constant. `value` is the mathematical value; for strings, their bytes read as a little-endian number. */
export type ValueExpr = Typed & { readonly kind: 'value'; readonly value: bigint };
export type VerdictName = 'accept' | 'drop' | 'continue' | 'break' | 'jump' | 'goto' | 'return';
export type VerdictExpr = Typed & { readonly kind: 'verdict'; readonly verdict: VerdictName; readonly chain?: Expr };
/** A header field: `proto` is absent for raw `@nh,off,len`. Offset in bits from `base`. */
export type PayloadExpr = Typed & {
  readonly kind: 'payload';
  readonly proto?: ProtoDesc;
  /** Index into proto.fields. */
  readonly field?: number;
  readonly base: number;
  readonly offset: number;
  /** Written as `@base,offset,len`. */
  readonly raw?: boolean;
  /** The tunnel whose inner packet is meant: `vxlan ip saddr`. */
  readonly tunnel?: ProtoDesc;
};
/** An extension header, TCP option, IP option or SCTP chunk; without `field`, its presence (`exists`). */
export type ExthdrExpr = Typed & {
  readonly kind: 'exthdr';
  readonly op: ExthdrDesc['op'];
  readonly desc?: ExthdrDesc;
  readonly field?: number;
  /** The kernel's type number: next header, option kind, chunk type. */
  readonly hdr: number;
  readonly offset: number;
  readonly present?: boolean;
  readonly raw?: boolean;
};
/** `tunnel`: of the inner packet; only comparisons that evaluation makes have it. */
export type MetaExpr = Typed & { readonly kind: 'meta'; readonly key: number; readonly tunnel?: ProtoDesc };
export type CtExpr = Typed & {
  readonly kind: 'ct';
  readonly key: number;
  /** 0 original, 1 reply. */
  readonly direction?: number;
  /** NFPROTO of `ct original ip saddr`. */
  readonly nfproto?: number;
};
export type RtExpr = Typed & { readonly kind: 'rt'; readonly key: number; readonly nfproto?: number };
export type SocketExpr = Typed & { readonly kind: 'socket'; readonly key: number; readonly level?: number };
export type FibExpr = Typed & { readonly kind: 'fib'; readonly result: number; readonly flags: number };
export type NumgenExpr = Typed & {
  readonly kind: 'numgen';
  readonly mode: number;
  readonly mod: number;
  readonly offset: number;
};
export type HashExpr = Typed & {
  readonly kind: 'hash';
  /** NFT_HASH_JENKINS or NFT_HASH_SYM (no operand). */
  readonly mode: number;
  readonly operand?: Expr;
  readonly mod: number;
  readonly seed?: number;
  readonly offset: number;
};
export type XfrmExpr = Typed & {
  readonly kind: 'xfrm';
  readonly key: number;
  readonly direction: number;
  readonly spnum: number;
};
export type OsfExpr = Typed & { readonly kind: 'osf'; readonly ttl: number; readonly version?: boolean };
export type BinaryOp = '&' | '|' | '^' | '<<' | '>>';
export type BinaryExpr = Typed & {
  readonly kind: 'binary';
  readonly op: BinaryOp;
  readonly left: Expr;
  readonly right: Expr;
};
/** A byte order conversion made by evaluation. */
export type UnaryExpr = Typed & { readonly kind: 'unary'; readonly op: 'hton' | 'ntoh'; readonly arg: Expr };
export type RelOp = 'implicit' | '==' | '!=' | '<' | '>' | '<=' | '>=' | '!';
export type RelationalExpr = Typed & {
  readonly kind: 'relational';
  readonly op: RelOp;
  readonly left: Expr;
  readonly right: Expr;
};
/** `tcp flags syn / syn,ack` and what `&` comparisons of flags turn into. */
export type FlagCmpExpr = Typed & {
  readonly kind: 'flagcmp';
  readonly op: '==' | '!=';
  readonly expr: Expr;
  readonly mask: Expr;
  readonly value: Expr;
};
export type PrefixExpr = Typed & { readonly kind: 'prefix'; readonly expr: Expr; readonly prefix: number };
export type RangeExpr = Typed & { readonly kind: 'range'; readonly left: Expr; readonly right: Expr };
export type ConcatExpr = Typed & { readonly kind: 'concat'; readonly parts: readonly Expr[] };
/** Flags joined by commas. */
export type ListExpr = Typed & { readonly kind: 'list'; readonly items: readonly Expr[] };
/** `*`: the catch-all element. */
export type CatchallExpr = Typed & { readonly kind: 'catchall' };
/** One member of a set; `data` makes it a map entry. Times are in ms. */
export type ElementExpr = Typed & {
  readonly kind: 'element';
  readonly key: Expr;
  readonly data?: Expr;
  readonly timeout?: number;
  readonly expires?: number;
  readonly comment?: string;
  readonly stmts?: readonly Stmt[];
  /** Set by interval folding: the first key behind an interval. */
  readonly intervalEnd?: boolean;
};
/** `{ ... }` */
export type SetExpr = Typed & { readonly kind: 'set'; readonly elements: readonly ElementExpr[] };
/** `@name` */
export type SetRefExpr = Typed & { readonly kind: 'setref'; readonly name: string; readonly set?: SetInfo };
/** `KEY map { ... }`, `KEY map @name`; a verdict map has `vmap`. */
export type MapExpr = Typed & {
  readonly kind: 'map';
  readonly key: Expr;
  readonly mappings: Expr;
  readonly vmap?: boolean;
};
/** A definition used as `$name`; evaluation replaces it by what it stands for. */
export type VariableExpr = Typed & { readonly kind: 'variable'; readonly name: string; readonly value: Expr };

export type Expr =
  | SymbolExpr
  | ValueExpr
  | VerdictExpr
  | PayloadExpr
  | ExthdrExpr
  | MetaExpr
  | CtExpr
  | RtExpr
  | SocketExpr
  | FibExpr
  | NumgenExpr
  | HashExpr
  | XfrmExpr
  | OsfExpr
  | BinaryExpr
  | UnaryExpr
  | RelationalExpr
  | FlagCmpExpr
  | PrefixExpr
  | RangeExpr
  | ConcatExpr
  | ListExpr
  | CatchallExpr
  | ElementExpr
  | SetExpr
  | SetRefExpr
  | MapExpr
  | VariableExpr;

type StmtBase = { readonly loc?: Location };
export type ExprStmt = StmtBase & { readonly kind: 'expr'; readonly expr: Expr };
/** A verdict, or `vmap` as a statement. */
export type VerdictStmt = StmtBase & { readonly kind: 'verdict'; readonly expr: Expr };
export type CounterStmt = StmtBase & { readonly kind: 'counter'; readonly packets: bigint; readonly bytes: bigint };
export type LastStmt = StmtBase & { readonly kind: 'last'; readonly used?: number };
export type ConnlimitStmt = StmtBase & { readonly kind: 'connlimit'; readonly count: number; readonly over: boolean };
export type QuotaStmt = StmtBase & {
  readonly kind: 'quota';
  readonly bytes: bigint;
  readonly used: bigint;
  readonly over: boolean;
};
export type LimitStmt = StmtBase & {
  readonly kind: 'limit';
  readonly rate: bigint;
  /** Seconds. */
  readonly unit: bigint;
  readonly burst: number;
  /** NFT_LIMIT_PKTS or NFT_LIMIT_PKT_BYTES. */
  readonly type: number;
  readonly over: boolean;
};
export type LogStmt = StmtBase & {
  readonly kind: 'log';
  readonly prefix?: Expr;
  readonly group?: number;
  readonly snaplen?: number;
  readonly qthreshold?: number;
  readonly level?: number;
  readonly flags?: number;
};
export type RejectStmt = StmtBase & {
  readonly kind: 'reject';
  /** NFT_REJECT_*; absent until evaluation. */
  readonly type?: number;
  /** Which code table the code was written in. */
  readonly icmp?: 'icmp' | 'icmpv6' | 'icmpx';
  readonly code?: Expr;
};
export type NatStmt = StmtBase & {
  readonly kind: 'nat';
  readonly nat: 'snat' | 'dnat' | 'masq' | 'redir';
  /** NFPROTO written or inferred. */
  readonly family?: number;
  /** The family word was written (`dnat ip to`). */
  readonly familyWritten?: boolean;
  readonly addr?: Expr;
  readonly proto?: Expr;
  readonly flags: number;
  /** `prefix` (netmap), `addr . port` and interval maps. */
  readonly typeFlags: number;
};
export type TproxyStmt = StmtBase & {
  readonly kind: 'tproxy';
  readonly family?: number;
  readonly tableFamily?: number;
  readonly addr?: Expr;
  readonly port?: Expr;
};
export type SynproxyStmt = StmtBase & {
  readonly kind: 'synproxy';
  readonly mss: number;
  readonly wscale: number;
  readonly flags: number;
};
export type QueueStmt = StmtBase & { readonly kind: 'queue'; readonly queue?: Expr; readonly flags: number };
export type DupStmt = StmtBase & { readonly kind: 'dup'; readonly to: Expr; readonly dev?: Expr };
export type FwdStmt = StmtBase & {
  readonly kind: 'fwd';
  readonly dev: Expr;
  readonly addr?: Expr;
  readonly family?: number;
};
export type NotrackStmt = StmtBase & { readonly kind: 'notrack' };
export type MetaSetStmt = StmtBase & { readonly kind: 'metaset'; readonly key: number; readonly expr: Expr };
export type CtSetStmt = StmtBase & {
  readonly kind: 'ctset';
  readonly key: number;
  readonly direction?: number;
  readonly expr: Expr;
};
export type PayloadSetStmt = StmtBase & {
  readonly kind: 'payloadset';
  readonly target: PayloadExpr;
  readonly expr: Expr;
};
export type ExthdrSetStmt = StmtBase & {
  readonly kind: 'exthdrset';
  readonly target: ExthdrExpr;
  readonly expr: Expr;
};
/** `reset tcp option NAME` */
export type OptstripStmt = StmtBase & { readonly kind: 'optstrip'; readonly target: ExthdrExpr };
/** `add @set { key stmts }` */
export type DynsetStmt = StmtBase & {
  readonly kind: 'dynset';
  readonly op: 'add' | 'update' | 'delete';
  readonly set: SetRefExpr;
  readonly key: Expr;
  readonly data?: Expr;
  readonly timeout?: number;
  readonly comment?: string;
  readonly stmts: readonly Stmt[];
};
/** `meter NAME size N { KEY STMT }` */
export type MeterStmt = StmtBase & {
  readonly kind: 'meter';
  readonly name: string;
  readonly size?: number;
  readonly key: Expr;
  readonly timeout?: number;
  readonly stmt: Stmt;
  readonly set?: SetRefExpr;
};
/** `counter name "x"`, `quota name`, `ct helper set "x"`, `synproxy name`... by name or by map. */
export type ObjrefStmt = StmtBase & { readonly kind: 'objref'; readonly type: number; readonly expr: Expr };
export type FlowOffloadStmt = StmtBase & { readonly kind: 'flowoffload'; readonly name: string };
/** `jump { ... }`: a chain without a name that belongs to this rule. */
export type ChainStmt = StmtBase & {
  readonly kind: 'chainblock';
  readonly verdict: 'jump' | 'goto';
  readonly rules: readonly Rule[];
};
/** A match or target of x_tables, opaque. */
export type XtStmt = StmtBase & {
  readonly kind: 'xt';
  readonly type: 'match' | 'target';
  readonly name: string;
  readonly rev: number;
  readonly info: Uint8Array;
};

export type Stmt =
  | ExprStmt
  | VerdictStmt
  | CounterStmt
  | LastStmt
  | ConnlimitStmt
  | QuotaStmt
  | LimitStmt
  | LogStmt
  | RejectStmt
  | NatStmt
  | TproxyStmt
  | SynproxyStmt
  | QueueStmt
  | DupStmt
  | FwdStmt
  | NotrackStmt
  | MetaSetStmt
  | CtSetStmt
  | PayloadSetStmt
  | ExthdrSetStmt
  | OptstripStmt
  | DynsetStmt
  | MeterStmt
  | ObjrefStmt
  | FlowOffloadStmt
  | ChainStmt
  | XtStmt;

export type Handle = { readonly id?: bigint; readonly index?: number; readonly position?: bigint };

export type Rule = {
  readonly kind: 'rule';
  readonly loc?: Location;
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  readonly handle?: Handle;
  readonly stmts: readonly Stmt[];
  readonly comment?: string;
};

export type Priority = { readonly name?: string; readonly value: number };

export type Chain = {
  readonly kind: 'chain';
  readonly loc?: Location;
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly handle?: bigint;
  readonly base?: {
    readonly type: string;
    readonly hook: string;
    readonly priority: Expr;
    readonly devices: readonly Expr[];
    readonly policy?: Expr;
  };
  /** A `policy` without a hook: an error that evaluation reports. */
  readonly strayPolicy?: Expr;
  /** NFT_CHAIN_* (hw offload). */
  readonly flags: number;
  readonly comment?: string;
  readonly rules: readonly Rule[];
};

export type SetDecl = {
  readonly kind: 'setdecl';
  readonly loc?: Location;
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly handle?: bigint;
  /** NFT_SET_* */
  readonly flags: number;
  readonly isMap: boolean;
  /** The key: a type name expression, or for `typeof` the expression. */
  readonly key?: Expr;
  readonly keyTypeof?: boolean;
  readonly data?: Expr;
  /** `type K : interval V`: the data are ranges. */
  readonly dataInterval?: boolean;
  /** NFT_OBJECT_* of an object map. */
  readonly objType?: number;
  readonly timeout?: number;
  readonly gcInterval?: number;
  readonly size?: number;
  readonly policy?: number;
  readonly autoMerge?: boolean;
  readonly comment?: string;
  readonly stmts: readonly Stmt[];
  readonly elements?: Expr;
};

export type ObjectSpec =
  | { readonly type: 'counter'; readonly packets: bigint; readonly bytes: bigint }
  | { readonly type: 'quota'; readonly bytes: bigint; readonly used: bigint; readonly over: boolean }
  | { readonly type: 'limit'; readonly limit: LimitStmt }
  | { readonly type: 'ct helper'; readonly helper: string; readonly l3proto?: number; readonly l4proto: number }
  | {
      readonly type: 'ct timeout';
      readonly l3proto?: number;
      readonly l4proto: number;
      readonly policy: readonly (readonly [state: string, seconds: number])[];
    }
  | {
      readonly type: 'ct expectation';
      readonly l3proto?: number;
      readonly l4proto: number;
      readonly dport: number;
      readonly timeout: number;
      readonly size: number;
    }
  | { readonly type: 'secmark'; readonly context: string }
  | { readonly type: 'synproxy'; readonly mss: number; readonly wscale: number; readonly flags: number };

export type ObjectDecl = {
  readonly kind: 'object';
  readonly loc?: Location;
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly handle?: bigint;
  readonly comment?: string;
  readonly spec: ObjectSpec;
};

export type Flowtable = {
  readonly kind: 'flowtable';
  readonly loc?: Location;
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly handle?: bigint;
  readonly hook?: string;
  readonly priority?: Expr;
  readonly devices: readonly Expr[];
  readonly flags: number;
};

export type Table = {
  readonly kind: 'table';
  readonly loc?: Location;
  readonly family: Family;
  readonly name: string;
  readonly handle?: bigint;
  readonly flags: number;
  readonly comment?: string;
  readonly chains: readonly Chain[];
  readonly sets: readonly SetDecl[];
  readonly objects: readonly ObjectDecl[];
  readonly flowtables: readonly Flowtable[];
};

/** What a command names when it carries no object: `delete chain ip t c`, `flush ruleset ip`. */
export type Target = {
  readonly kind: 'target';
  readonly loc?: Location;
  readonly what: string;
  readonly family?: Family;
  readonly table?: string;
  readonly name?: string;
  readonly handle?: Handle;
};

/** The members of `add element`, `delete element`, `get element`. */
export type Elements = {
  readonly kind: 'elements';
  readonly loc?: Location;
  readonly family: Family;
  readonly table: string;
  readonly set: string;
  readonly elements: Expr;
};

export type CommandName =
  | 'add'
  | 'create'
  | 'insert'
  | 'replace'
  | 'delete'
  | 'destroy'
  | 'get'
  | 'list'
  | 'reset'
  | 'flush'
  | 'rename'
  | 'describe'
  | 'monitor'
  | 'import'
  | 'export';

export type Command = {
  readonly kind: 'command';
  readonly loc?: Location;
  readonly op: CommandName;
  readonly object: Table | Chain | Rule | SetDecl | ObjectDecl | Flowtable | Elements | Target;
  /** The new name of `rename chain`. */
  readonly newName?: string;
  readonly expr?: Expr;
};
