/** The tracing language: `kfree_skb { @[args.reason] = count(); }`. */
export { TraceError } from './ast.ts';
export { compileTrace, type Interval, type TraceOptions, TraceSession } from './session.ts';
