/**
 * `netloom/bpf`: eBPF without a kernel. Objects and assembly in, verdicts and results out; see README.md beside this file.
 */
export { type Assembled, assemble, disassemble } from './asm/index.ts';
export { bindGlobals } from './bind-globals.ts';
export { Btf } from './btf/btf.ts';
export {
  type ClassicInsn,
  checkClassic,
  decodeClassic,
  parseClassic,
  runClassic,
  translateClassic,
} from './cbpf/index.ts';
export {
  type BpfObject,
  LoadError,
  type LoadOptions,
  loadObject,
  type OpenObject,
  openObject,
} from './elf/index.ts';
export { decodeInsns, encodeInsns, type Insn } from './insn.ts';
export type { BpfMap } from './maps/map.ts';
export { compileFilter, FilterError } from './pcap-filter/index.ts';
export type { MapSpec, ProgramSpec } from './program.ts';
export { type Environment, Machine, type MachineOptions } from './runtime/machine.ts';
export { type TestRun, type TestRunOptions, testRun } from './runtime/test-run.ts';
export { BpfSystem, type LoadedProgram, type RunMode, VerifierError } from './system.ts';
export { type Mode, type Verdict, type VerifyOptions, verify } from './verifier/verify.ts';
