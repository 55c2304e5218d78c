/**
 * Kernel functions of compiled nftables chains. `nft_eval` and `nft_eval_write` evaluate one expression as the interpreter
 * does, the second one may change packet bytes; `nft_jump` and `nft_goto` run another chain, and are a call through the table
 * of programs in compiled code.
 */
import type { HelperImpl } from './helper.ts';
import type { Run } from './run.ts';

/** What runs chains puts this into `run.attached`. */
export type NftEval = {
  /** Evaluates expression `index`: its verdict (NFT_CONTINUE, NFT_BREAK, ...). */
  evaluate(index: number): number;
};

const evaluate = (run: Run, _ctx: number, index: number): number => (run.attached as NftEval).evaluate(index);

function enter(run: Run, _ctx: number, slot: number): number {
  const program = run.machine.programs[slot];
  return run.ret64(program === undefined ? 0 : program.enter(run));
}

export const nftKfuncs: readonly (readonly [string, HelperImpl])[] = [
  ['nft_eval', { call: evaluate, ret: 'int' }],
  ['nft_eval_write', { call: evaluate, ret: 'int' }],
  ['nft_jump', { call: enter, ret: 'u64' }],
  ['nft_goto', { call: enter, ret: 'u64' }],
];

/** Those that compiled code calls without telling where its stack ends: they never call the program back. */
export const isNftKfunc = (name: string): boolean => name.startsWith('nft_');
