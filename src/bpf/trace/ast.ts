/** The tracing language as a tree. */

export type Position = { readonly line: number; readonly column: number };

export type Expr = Position &
  (
    | { readonly kind: 'number'; readonly value: bigint }
    | { readonly kind: 'string'; readonly value: string }
    /** nsecs, cpu, comm, host, or the name of an enumerator. */
    | { readonly kind: 'name'; readonly name: string }
    /** `$name` */
    | { readonly kind: 'variable'; readonly name: string }
    /** `@name[keys]` */
    | { readonly kind: 'map'; readonly name: string; readonly keys: readonly Expr[] }
    /** `args.name` */
    | { readonly kind: 'argument'; readonly name: string }
    /** `of->name` or `of.name` */
    | { readonly kind: 'member'; readonly of: Expr; readonly name: string }
    | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expr[] }
    | { readonly kind: 'unary'; readonly op: '!' | '-' | '~'; readonly of: Expr }
    | { readonly kind: 'binary'; readonly op: string; readonly left: Expr; readonly right: Expr }
    | { readonly kind: 'choice'; readonly test: Expr; readonly yes: Expr; readonly no: Expr }
  );

export type MapPlace = Extract<Expr, { kind: 'map' }>;

export type Stmt = Position &
  (
    | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expr[] }
    /** `op` is '' for a plain assignment, '+' for `+=` and so on. */
    | { readonly kind: 'set'; readonly variable: string; readonly op: string; readonly value: Expr }
    | { readonly kind: 'store'; readonly place: MapPlace; readonly op: string; readonly value: Expr }
    | { readonly kind: 'if'; readonly test: Expr; readonly yes: readonly Stmt[]; readonly no: readonly Stmt[] }
  );

/** What a block is for: a point of the stack, the start, the end, or a time that comes again and again. */
export type Probe = Position & {
  readonly kind: 'point' | 'BEGIN' | 'END' | 'interval';
  readonly target: string;
  readonly form: ProbeForm;
  /** `interval`: nanoseconds from one time to the next. */
  readonly period?: number;
};

/** How the point was named: freely, as a tracepoint, or as a function. */
export type ProbeForm = 'any' | 'tracepoint' | 'function';

export type Block = {
  readonly probes: readonly Probe[];
  readonly filter: Expr | undefined;
  readonly body: readonly Stmt[];
};

/** What is wrong with a program, and where. */
export class TraceError extends Error {
  readonly line: number;
  readonly column: number;
  constructor(message: string, at: Position) {
    super(message);
    this.name = 'TraceError';
    this.line = at.line;
    this.column = at.column;
  }
}
