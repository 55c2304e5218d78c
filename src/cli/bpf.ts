/** `netloom bpf ...`: one file per command in `bpf/`. */
import type { Command } from 'commander';
import { addAsm } from './bpf/asm.ts';
import { addDisasm } from './bpf/disasm.ts';
import { addFilter } from './bpf/filter.ts';
import { addInLab } from './bpf/in-lab.ts';
import { addRun } from './bpf/run.ts';
import { addVerify } from './bpf/verify.ts';
import { addWasm } from './bpf/wasm.ts';

export function addBpf(program: Command): void {
  const bpf = program
    .command('bpf')
    .description('eBPF programs: verify, run, look inside')
    .showHelpAfterError('(netloom bpf --help lists the commands)');
  addVerify(bpf);
  addRun(bpf);
  addWasm(bpf);
  addDisasm(bpf);
  addAsm(bpf);
  addFilter(bpf);
  addInLab(program, bpf);
  for (const command of bpf.commands) command.exitOverride();
}
