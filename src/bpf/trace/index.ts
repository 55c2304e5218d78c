/** The tracing language: `kfree_skb { @[args.reason] = count(); }`. */
export { TraceError } from './ast.ts';
export { compileTrace, type TraceOptions, TraceSession } from './session.ts';
