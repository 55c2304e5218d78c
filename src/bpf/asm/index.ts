/** Programs as text: see README.md. */
export { type AsmError, type AsmNames, type Assembled, assemble } from './assemble.ts';
export { type DisassembleOptions, disasmInsn, disassemble } from './disassemble.ts';
export type { Names } from './kernel-style.ts';
